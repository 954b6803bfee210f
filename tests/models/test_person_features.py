"""Person features: no change at the start, learnable alone, small on disk, and back as they were."""

from __future__ import annotations

import pytest
import torch
from networks import make_conditioning, make_network, noise

from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.person_features import PersonFeatures, load_features, save_features, start_features

HALF = torch.tensor([0.5])


def test_they_start_at_no_change_and_are_what_alone_learns(tmp_path):
    model, conditioning, x = make_network(gates=0.2).requires_grad_(False), make_conditioning(frames=4), noise(frames=4)
    encoded = model.encode(conditioning)
    features = start_features(encoded, rank=2)
    plain = model.predict(x, HALF, encoded)
    assert torch.equal(model.predict(x, HALF, encoded.with_person_features(features.offsets())), plain)
    target = plain.detach() + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    optimiser = torch.optim.Adam([features.maps, features.mix], lr=0.05)
    losses = []
    for _ in range(6):
        loss = (model.predict(x, HALF, encoded.with_person_features(features.offsets())) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and all(p.grad is None for p in model.parameters())
    save_features(features, tmp_path / "person.safetensors")
    again = load_features(tmp_path / "person.safetensors")
    assert torch.equal(again.maps, features.maps) and torch.equal(again.mix, features.mix)
    assert (tmp_path / "person.safetensors").stat().st_size < 4 * features.maps.numel() + 1000


def test_windows_of_offsets_are_offsets_of_windows():
    features = PersonFeatures(torch.randn(3, 16, 48), torch.randn(9, 3))
    assert torch.allclose(features.window(2, 6).offsets(), features.offsets()[2:6], atol=1e-6)


def test_what_does_not_fit_is_refused(tmp_path):
    encoded = make_network().encode(make_conditioning(frames=4))
    with pytest.raises(ValueError, match=r"expected \[4 or 1, 16, 48\]"):
        encoded.with_person_features(torch.zeros(3, 16, 48))
    with pytest.raises(ValueError, match=r"\[R, S, C\]"):
        PersonFeatures(torch.zeros(3, 16, 48), torch.zeros(4, 2))
    with pytest.raises(MisuseError, match="rank is 0"):
        start_features(encoded, rank=0)
    with pytest.raises(MisuseError, match="cannot be read as person features"):
        load_features(tmp_path / "none.safetensors")
    save_features(PersonFeatures(torch.full((1, 16, 48), torch.nan), torch.ones(4, 1)), tmp_path / "nan.safetensors")
    with pytest.raises(VidvtonError, match="NaN"):
        load_features(tmp_path / "nan.safetensors")
