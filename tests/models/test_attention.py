"""All roads of attention agree, and the one that cannot run says why."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch
import torch.nn.functional as F
from networks import make_network

from vidvton.errors import VidvtonError
from vidvton.models import attention
from vidvton.models.attention import attend, check_attention, rotary, rotate


@pytest.mark.parametrize("limit", [1, 100, 1 << 21])
@pytest.mark.parametrize("masked", [False, True])
def test_the_plain_road_is_softmax_attention(monkeypatch, limit, masked):
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", limit)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 5, 8), torch.randn(3, 2, 7, 8), torch.randn(3, 2, 7, 8)
    bias = torch.where(torch.rand(3, 1, 1, 7) < 0.3, -torch.inf, 0.0) if masked else None
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    with torch.inference_mode():
        assert torch.allclose(attention._plain(q, k, v, bias), wanted, atol=1e-6)
        bf16 = [x.to(torch.bfloat16) for x in (q, k, v)]
        rough = attend(*bf16, bias=None if bias is None else bias.to(torch.bfloat16))
    assert rough.dtype == torch.bfloat16 and (rough - wanted).abs().max() < 0.05


def test_rotary_scores_depend_on_the_distance_alone():
    torch.manual_seed(0)
    q, k = torch.randn(16), torch.randn(16)
    cos, sin = rotary(12, 16, q)
    turned_q, turned_k = rotate(q.expand(12, -1), cos, sin), rotate(k.expand(12, -1), cos, sin)
    scores = turned_q @ turned_k.T
    for shift in range(-5, 6):
        assert scores.diagonal(shift).std() < 1e-4
    assert scores.diagonal(0)[0] - q @ k < 1e-5 and (scores[0] - scores[0, 0]).abs()[1:].min() > 1e-3


def test_attention_that_cannot_run_names_the_reason():
    with pytest.raises(VidvtonError, match="CUDA only and the device is cpu"):
        make_network().use_attention("xformers")
    with pytest.raises(VidvtonError, match="expected one of sdpa, xformers"):
        check_attention("flash", torch.device("cpu"))
    if importlib.util.find_spec("xformers") is None:
        with pytest.raises(VidvtonError, match="needs the package xformers"):
            check_attention("xformers", torch.device("cuda"))
    make_network().use_attention("sdpa")
    assert "xformers.ops" not in sys.modules
