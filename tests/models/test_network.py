"""What the network is given reaches its output, what is withheld does not, and its promises about time and memory hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from networks import SMALL, make_conditioning, make_network, noise

from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.blocks import ResBlock, SpaceTimeBlock, tokens_of
from vidvton.models.config import ModelConfig
from vidvton.models.encoders import shuffled, spots, unshuffled
from vidvton.models.inflate import inflate, is_temporal
from vidvton.models.info import peak_bytes
from vidvton.models.unet import TryOnUNet
from vidvton.values import GROUPS

HALF = torch.tensor([0.5])
STRIDED = SMALL.model_copy(update={"temporal_stride": 2})


def run(model, conditioning, x, level=HALF):
    with torch.inference_mode():
        return model.predict(x, level.expand(len(x)), model.encode(conditioning))


def test_an_untrained_network_predicts_zero_and_starts_from_scratch():
    torch.manual_seed(0)
    model = TryOnUNet(SMALL)
    conditioning, x = make_conditioning(), noise()
    out = model.predict(x, HALF, model.encode(conditioning))
    assert out.shape == x.shape and not out.any()
    (out - x).square().mean().backward()
    assert model.out.weight.grad.any()


def test_a_network_that_adds_to_the_hint_starts_as_the_warp_engine_and_cuts_it_with_its_windows():
    torch.manual_seed(0)
    model = TryOnUNet(SMALL.model_copy(update={"prediction": "x0", "hint_residual": True}))
    conditioning, x = make_conditioning(), noise()
    alpha = conditioning.warped[:, :, 3:]
    wanted = (conditioning.warped[:, :, :3] + (1 - alpha) * conditioning.agnostic) * 2 - 1
    assert torch.allclose(run(model, conditioning, x), wanted, atol=1e-6)
    encoded = model.encode(conditioning)
    with torch.inference_mode():
        part = model.predict(x[:, 1:3], HALF.expand(len(x)), encoded.window(1, 3))
    assert torch.allclose(part, wanted[:, 1:3], atol=1e-6)
    with pytest.raises(ValueError, match="hint_residual needs prediction x0"):
        ModelConfig(hint_residual=True, prediction="v")


@pytest.mark.parametrize(
    "field", ["agnostic", "region", "pose", "warped", "garments", "garment_points", "layout", "augmentation"]
)
def test_every_condition_reaches_the_prediction(field):
    model, conditioning, x = make_network(), make_conditioning(), noise()
    value = getattr(conditioning, field)
    other = (value + 1) % 3 if field == "layout" else value.flip(-1) if field not in ("augmentation",) else 1 - value
    before, after = run(model, conditioning, x), run(model, replace(conditioning, **{field: other}), x)
    assert (before - after).abs().max() > 1e-5


def test_slot_level_and_embedding_reach_the_prediction():
    config = SMALL.model_copy(update={"image_embedding": 12})
    model, x = make_network(config), noise()
    conditioning = make_conditioning(embedding=12)
    before = run(model, conditioning, x)
    assert (before - run(model, replace(conditioning, slots=conditioning.slots + 1), x)).abs().max() > 1e-5
    assert (before - run(model, replace(conditioning, embedding=-conditioning.embedding), x)).abs().max() > 1e-5
    assert (before - run(model, conditioning, x, level=HALF / 2)).abs().max() > 1e-5
    with pytest.raises(MisuseError, match="7 channels, expected 12"):
        run(model, make_conditioning(embedding=7), x)
    with pytest.raises(MisuseError, match="takes none"):
        run(make_network(), conditioning, x)


@pytest.mark.parametrize("group", GROUPS)
def test_a_withheld_group_says_nothing_but_that_it_is_withheld(group):
    model, x = make_network(), noise()
    one, other = make_conditioning(seed=0), make_conditioning(seed=9)
    own = {
        "person": ("agnostic", "region"),
        "garment": ("garments", "garment_points", "slots", "layout", "warped"),
        "pose": ("pose",),
    }[group]
    swapped = replace(one, **{name: getattr(other, name) for name in own})
    withheld = run(model, one.drop((group,)), x)
    assert torch.equal(withheld, run(model, swapped.drop((group,)), x))
    zeroed = replace(one.drop((group,)), given=one.given)
    assert (withheld - run(model, zeroed, x)).abs().max() > 1e-6, "the learned flag does nothing"


def test_withholding_every_group_gives_finite_values():
    out = run(make_network(), make_conditioning(garments=2).drop(GROUPS), noise())
    assert torch.isfinite(out).all() and out.any()


def test_empty_slots_change_nothing():
    model, x = make_network(), noise()
    two = make_conditioning(garments=2)
    empty = torch.tensor([[False, True]])
    padded = replace(
        two,
        garments=two.garments.masked_fill(empty[:, :, None, None, None], 0),
        garment_points=two.garment_points.masked_fill(empty[:, :, None, None], 0),
        slots=two.slots.masked_fill(empty, -1),
        layout=two.layout.masked_fill(empty[:, :, None], 0),
    )
    names = ("garments", "garment_points", "slots", "layout")
    one = replace(two, **{name: getattr(two, name)[:, :1] for name in names})
    assert (run(model, padded, x) - run(model, one, x)).abs().max() < 1e-5
    assert (run(model, two, x) - run(model, one, x)).abs().max() > 1e-5


def test_samples_of_a_batch_do_not_see_each_other():
    model, x = make_network(gates=0.3), noise(samples=2)
    conditioning = make_conditioning(samples=2, garments=2)
    conditioning = conditioning.drop(torch.tensor([[False, True, False], [False, False, True]]))
    both = run(model, conditioning, x)
    for i in range(2):
        names = [name for name, value in vars(conditioning).items() if value is not None]
        alone = replace(conditioning, **{name: getattr(conditioning, name)[i : i + 1] for name in names})
        assert (run(model, alone, x[i : i + 1]) - both[i : i + 1]).abs().max() < 1e-5


def test_with_gates_at_zero_every_frame_is_the_image_networks_bit_for_bit():
    image = make_network(SMALL.image)
    video = make_network(SMALL, seed=5)
    new = inflate(video, image.state_dict())
    assert new and all(is_temporal(name) for name in new)
    conditioning, x = make_conditioning(frames=5), noise(frames=5)
    for chunk in (None, 1, 2):
        video.frames_at_a_time = image.frames_at_a_time = chunk
        whole = run(video, conditioning, x)
        assert torch.equal(whole, run(image, conditioning, x))
        for i in range(5):  # alone, a library may sum in another order: the last bit, no more
            alone = run(image, conditioning.window(i, i + 1), x[:, i : i + 1])
            assert (alone - whole[:, i : i + 1]).abs().max() < 1e-5


@pytest.mark.parametrize("config", [SMALL, STRIDED], ids=["one rate", "two rates"])
def test_one_frame_takes_the_image_path_exactly_whatever_the_gates(config):
    video = make_network(config, gates=0.7)
    image = TryOnUNet(config.image).eval()
    image.load_state_dict({k: v for k, v in video.state_dict().items() if not is_temporal(k)}, strict=True)
    conditioning, x = make_conditioning(frames=1), noise(frames=1)
    assert torch.equal(run(video, conditioning, x), run(image, conditioning, x))


def test_open_gates_let_frames_see_each_other_both_ways():
    model, conditioning, x = make_network(gates=0.5), make_conditioning(frames=6), noise(frames=6)
    before = run(model, conditioning, x)
    for changed in (0, 5):
        y = x.clone()
        y[:, changed] += 1
        after = run(model, conditioning, y)
        moved = (after - before).abs().flatten(2).amax(2)[0]
        assert (moved > 1e-6).all(), moved


def test_temporal_attention_knows_the_order_of_frames_but_not_the_date():
    torch.manual_seed(0)
    block = SpaceTimeBlock(32, 8, 0.5).eval()
    with torch.no_grad():
        block.time.gate2.fill_(1)
        x = torch.randn(7, 32, 2, 2).to(memory_format=torch.channels_last)
        z = tokens_of(x)
        out = block.time._attended(z, 7)
        swapped = block.time._attended(z[[1, 0, 2, 3, 4, 5, 6]], 7)[[1, 0, 2, 3, 4, 5, 6]]
        assert (out - swapped)[2:].abs().max() > 1e-4, "frames in another order, the same answer"
        # Rotary positions are relative: dropping frames far away in a longer clip is the only thing a shift of dates may change.
        twice = block.time._attended(torch.cat([z[:1].expand(3, -1, -1), z]), 10)
        again = block.time._attended(torch.cat([z, z[-1:].expand(3, -1, -1)]), 10)
        assert not torch.allclose(twice[3:], again[:7])


def test_two_rates_start_as_average_and_repeat():
    strided, plain = make_network(STRIDED), make_network(SMALL)
    new = inflate(strided, plain.state_dict())
    assert new and all(name.startswith(("temporal_down.", "temporal_up.")) for name in new)
    one = make_conditioning(frames=1)
    still = replace(one, **{n: getattr(one, n).expand(-1, 6, *[-1] * (getattr(one, n).ndim - 2)) for n in
                            ("agnostic", "region", "pose", "warped")})  # fmt: skip
    x = noise(frames=1).expand(-1, 6, -1, -1, -1)
    # On a clip that stands still, average and repeat are no change at all.
    assert (run(strided, still, x) - run(plain, still, x)).abs().max() < 1e-5
    moving = noise(frames=6)
    assert (run(strided, still, moving) - run(plain, still, moving)).abs().max() > 1e-4
    h = torch.randn(6, 48, 2, 2).to(memory_format=torch.channels_last)
    with torch.no_grad():
        down = strided.temporal_down(h, 6)
        assert torch.equal(down, (h[0::2] + h[1::2]) / 2)
        assert torch.equal(strided.temporal_up(down), down.repeat_interleave(2, dim=0))


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_two_rates_take_odd_numbers_of_frames(frames):
    model = make_network(STRIDED, gates=0.2)
    out = run(model, make_conditioning(samples=2, frames=frames), noise(samples=2, frames=frames))
    assert out.shape[1] == frames and torch.isfinite(out).all()


def test_chunks_change_nothing_and_bound_the_memory():
    model, conditioning, x = make_network(gates=0.2), make_conditioning(frames=16), noise(frames=16)
    whole = run(model, conditioning, x)
    with torch.inference_mode():
        encoded = model.encode(conditioning)
        much = peak_bytes(lambda: model.predict(x, HALF, encoded))
        model.frames_at_a_time = 2
        little = peak_bytes(lambda: model.predict(x, HALF, encoded))
    assert (run(model, conditioning, x) - whole).abs().max() < 1e-5
    assert little < 0.9 * much, (little, much)


def test_gradient_checkpointing_gives_the_same_gradients_in_less_memory():
    model, conditioning, x = make_network(gates=0.2).train(), make_conditioning(frames=4), noise(frames=4)
    grads, peaks = [], []
    for on in (False, True):
        if on:
            model.enable_gradient_checkpointing()
        model.zero_grad()

        def step():
            model.predict(x, HALF, model.encode(conditioning)).square().mean().backward()

        peaks.append(peak_bytes(step))
        grads.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*grads))
    assert peaks[1] < 0.8 * peaks[0], peaks


@pytest.mark.parametrize("frames", [1, 4])
def test_every_weight_gets_a_gradient_when_all_is_given(frames):
    config = (STRIDED if frames > 1 else STRIDED.image).model_copy(update={"image_embedding": 8})
    model = make_network(config, gates=0.1).train()
    model.predict(
        noise(frames=frames), HALF, model.encode(make_conditioning(frames=frames, embedding=8))
    ).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    model.zero_grad()
    # Nor does a withheld group leave a weight out: every process of a distributed run then has the same set.
    given = make_conditioning(frames=frames).drop(("garment", "pose"))
    model.predict(noise(frames=frames), HALF, model.encode(given)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_few_steps_learn_something():
    torch.manual_seed(0)
    model = TryOnUNet(SMALL.image).train()
    conditioning, x = make_conditioning(frames=1), noise(frames=1)
    target = conditioning.agnostic * 2 - 1
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = (model.predict(x, HALF, model.encode(conditioning)) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0], losses[::6]


def test_windows_of_what_was_encoded_are_what_is_encoded_of_windows():
    model, conditioning = make_network(), make_conditioning(frames=6)
    with torch.inference_mode():
        encoded = model.encode(conditioning)
        cut, direct = encoded.window(2, 5), model.encode(conditioning.window(2, 5))
    assert cut.num_frames == 3
    for name in ("stem", "person", "pose", "sample", "layout", "garments"):
        assert torch.allclose(getattr(cut, name), getattr(direct, name), atol=1e-6), name
    assert cut.stem.data_ptr() == encoded.stem[:, 2].data_ptr(), "a window is a view"
    per_frame = 16 * 16 * 16 * 4 + 4 * 4 * 48 * 4 + 32 * 4
    assert encoded.bytes_per_frame == per_frame
    assert encoded.to(dtype=torch.bfloat16).bytes_per_frame == per_frame // 2


@pytest.mark.parametrize("precision", ["weights", "autocast"])
def test_bfloat16_follows_float32(precision):
    model, conditioning, x = make_network(gates=0.2), make_conditioning(garments=2), noise()
    exact = run(model, conditioning, x)
    if precision == "weights":
        rough = run(model.to(torch.bfloat16), conditioning, x)
    else:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model.predict(x, HALF, model.encode(conditioning.drop(()))).detach()
    assert rough.dtype == x.dtype and (rough - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_wrong_sizes_are_one_sentence():
    model = make_network()
    with pytest.raises(MisuseError, match="frames of 36x32 were given, expected height and width in multiples of 8"):
        model.encode(make_conditioning(size=(36, 32)))
    encoded = model.encode(make_conditioning(frames=3))
    with pytest.raises(VidvtonError, match="5 frames"):
        model.predict(noise(frames=5), HALF, encoded)
    assert run(model, make_conditioning(size=(48, 24)), noise(size=(48, 24))).shape == (1, 5, 3, 48, 24)


def test_offloaded_encoders_give_the_same():
    model, conditioning, x = make_network(), make_conditioning(), noise()
    before = run(model, conditioning, x)
    model.offload_encoders = True
    assert torch.equal(run(model, conditioning, x), before)
    assert {p.device.type for p in model.person.parameters()} == {"cpu"}


def test_pixels_go_in_and_come_out_where_they_were():
    x = torch.rand(2, 3, 8, 12)
    packed = unshuffled(x, 4)
    assert packed.shape == (2, 2, 3, 48) and packed.is_contiguous()
    assert torch.equal(shuffled(packed, 4), x)
    assert torch.equal(packed[0, 1, 2].view(3, 4, 4), x[0, :, 4:8, 8:12])


def test_a_point_draws_a_spot_where_it_is_and_nothing_when_unseen():
    drawn = spots(torch.tensor([[[0.75, 0.25, 0.8], [0.5, 0.5, 0.0]]]), (8, 12))
    assert drawn.shape == (1, 8, 12, 2)
    y, x = divmod(int(drawn[0, :, :, 0].argmax()), 12)
    assert (x, y) in ((8, 1), (9, 1), (8, 2), (9, 2)) and 0.6 < drawn[..., 0].max() <= 0.8
    assert not drawn[..., 1].any()


def test_activations_stay_channels_last():
    torch.manual_seed(0)
    block = ResBlock(32, 8).eval()
    x = torch.randn(2, 32, 4, 4).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        out = block(x, torch.randn(2, 8))
    assert out.is_contiguous(memory_format=torch.channels_last)
