# SPDX-License-Identifier: Apache-2.0
"""Batches of named tensors, and sampling of images in NDC."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from patina3d.renderer.utils import (
    TensorProperties,
    convert_to_tensors_and_broadcast,
    format_tensor,
    ndc_grid_sample,
    ndc_to_grid_sample_coords,
    parse_image_size,
)


def lamps(n: int = 3, **kwargs) -> TensorProperties:
    """Values that differ in batch size, dtype and dimensions."""
    return TensorProperties(
        power=torch.arange(n, dtype=torch.float64),
        color=torch.arange(3 * n, dtype=torch.float32).reshape(n, 3),
        shared=((1.0, 2.0),),
        name="lamp",
        on=True,
        nothing=None,
        **kwargs,
    )


class TestConstruction:
    def test_batch_size_is_the_largest_first_dimension(self):
        batch = lamps(4)
        assert len(batch) == batch._N == 4
        assert batch.shared.shape == (4, 2)
        assert batch.color.shape == (4, 3)
        assert not batch.isempty()

    def test_size_one_is_expanded_without_a_copy(self):
        assert lamps(4).shared.stride() == (0, 1)

    def test_none_str_and_bool_are_stored_as_they_are(self):
        batch = lamps()
        assert (batch.name, batch.on, batch.nothing) == ("lamp", True, None)

    def test_without_tensors_it_is_empty(self):
        assert TensorProperties(name="x").isempty()
        assert len(TensorProperties()) == 0

    def test_batch_of_none_is_empty(self):
        batch = TensorProperties(color=torch.zeros(0, 3))
        assert batch.isempty()
        assert batch.color.shape == (0, 3)

    def test_tensors_keep_their_dtype_and_the_rest_takes_the_one_given(self):
        batch = TensorProperties(
            dtype=torch.float64,
            a=torch.zeros(2, dtype=torch.int64),
            b=torch.zeros(2, dtype=torch.float16),
            c=0.1,
            d=[1],
        )
        assert [t.dtype for t in (batch.a, batch.b, batch.c, batch.d)] == [
            torch.int64,
            torch.float16,
            torch.float64,
            torch.float64,
        ]
        assert batch.c[0].item() == 0.1
        assert TensorProperties(c=0.1).c.dtype == torch.float32

    @pytest.mark.parametrize(
        "value", [np.float32(2.0), np.float64(2.0), np.int64(2), 2, 2.0, np.array(2.0), (2.0,), [2]]
    )
    def test_numbers_sequences_and_arrays_become_tensors(self, value):
        assert torch.equal(TensorProperties(a=value).a, torch.tensor([2.0]))

    def test_array_with_negative_strides(self):
        assert torch.equal(TensorProperties(a=np.arange(3.0)[::-1]).a, torch.tensor([2.0, 1.0, 0.0]))

    def test_other_types_are_left_out_with_a_warning(self):
        with pytest.warns(UserWarning, match="property 'odd' of type set is left out"):
            batch = TensorProperties(odd={1}, a=1.0)
        assert not hasattr(batch, "odd")
        assert len(batch) == 1

    def test_first_dimensions_that_do_not_match(self):
        with pytest.raises(ValueError, match=r"first dimensions must be 1 or 3, got \[3, 2\]"):
            TensorProperties(a=torch.zeros(3), b=torch.zeros(2))

    def test_gradient_reaches_parameters_and_tensors_inside_sequences(self):
        a, b = nn.Parameter(torch.tensor([[1.0, 2.0]])), torch.tensor(3.0, requires_grad=True)
        batch = TensorProperties(a=a, b=[b, 2.0 * b], c=torch.zeros(2))
        assert list(batch.parameters()) == []
        (batch.a.sum() + batch.b.sum()).backward()
        assert torch.equal(a.grad, torch.tensor([[2.0, 2.0]]))
        assert b.grad == 3.0


class TestAccessor:
    def test_reads_the_element(self):
        batch = lamps()
        assert torch.equal(batch[1].color, batch.color[1])
        assert torch.equal(batch[-1].power, batch.power[2])
        assert torch.equal(batch[1:].shared, batch.shared[1:])

    def test_writes_the_element_alone(self):
        batch = lamps()
        before = batch.color.clone()
        batch[1].color = (7.0, 8.0, 9.0)
        assert torch.equal(batch.color[1], torch.tensor([7.0, 8.0, 9.0]))
        assert torch.equal(batch.color[[0, 2]], before[[0, 2]])

    def test_writes_in_place(self):
        batch = lamps()
        color = batch.color
        batch[0].color = torch.full((1, 3), 5.0)
        assert batch.color is color
        assert torch.equal(color[0], torch.full((3,), 5.0))

    def test_writing_into_an_expanded_tensor_leaves_the_other_elements(self):
        batch = lamps()
        batch[1].shared = torch.tensor([5.0, 6.0])
        assert torch.equal(batch.shared, torch.tensor([[1.0, 2.0], [5.0, 6.0], [1.0, 2.0]]))

    def test_writes_a_slice_and_a_number(self):
        batch = lamps()
        batch[1:].power = torch.tensor([8.0, 9.0])
        batch[0].power = 4
        assert torch.equal(batch.power, torch.tensor([4.0, 8.0, 9.0], dtype=torch.float64))

    def test_gradient_passes_through_what_was_written(self):
        batch, value = lamps(), torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        batch[2].color = value
        (batch.color**2).sum().backward()
        assert torch.equal(value.grad, 2 * value.detach())

    @pytest.mark.parametrize("index", [(0,), [0], 1.0, None, True, torch.tensor(1)])
    def test_other_indices(self, index):
        with pytest.raises(ValueError, match="index must be an int or a slice"):
            lamps()[index]

    @pytest.mark.parametrize("index", [3, -4])
    def test_outside_the_batch(self, index):
        with pytest.raises(IndexError, match="outside a batch of 3"):
            lamps()[index]

    def test_iteration_ends(self):
        assert [element.power.item() for element in lamps()] == [0.0, 1.0, 2.0]

    def test_missing_attribute(self):
        with pytest.raises(AttributeError, match="attribute 'colour' does not exist"):
            _ = lamps()[0].colour

    def test_what_is_not_a_tensor_is_neither_read_nor_written(self):
        with pytest.raises(AttributeError, match="attribute 'name' is a str, not a tensor"):
            _ = lamps()[0].name
        with pytest.raises(AttributeError, match="attribute 'name' is a str, not a tensor"):
            lamps()[0].name = "x"

    def test_shape_that_does_not_fit(self):
        with pytest.raises(ValueError, match=r"color: value must fit shape \(3,\), got \(2,\)"):
            lamps()[0].color = torch.zeros(2)


class TestWholeBatch:
    def test_to_moves_every_tensor_and_returns_itself(self):
        batch = lamps()
        assert batch.to("meta") is batch
        assert {t.device.type for t in (batch.power, batch.color, batch.shared)} == {"meta"}
        assert batch.device == torch.device("meta")

    def test_cpu_stays(self):
        batch = lamps()
        assert batch.cpu() is batch
        assert batch.device == torch.device("cpu")

    @pytest.mark.gpu
    def test_cuda(self):
        batch = lamps().cuda()
        assert batch.color.is_cuda
        assert batch.device == torch.device("cuda", torch.cuda.current_device())
        assert lamps().cuda(0).device == torch.device("cuda:0")

    def test_moves_with_the_module_that_holds_it(self):
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.lamps = lamps()

        model = Model().double()
        assert model.lamps.color.dtype == torch.float64
        model.to("meta")
        assert model.lamps.color.is_meta
        assert model.lamps.device.type == "meta"
        assert not model.state_dict()

    def test_clone_shares_nothing_and_keeps_the_gradient(self):
        color = torch.ones(3, 3, requires_grad=True)
        batch = TensorProperties(color=color, name="lamp", tags=None)
        batch.extra = ["a"]
        other = batch.clone(TensorProperties())
        assert len(other) == 3
        assert other.name == "lamp"
        assert other.extra == ["a"]
        assert other.extra is not batch.extra
        assert other.color.data_ptr() != batch.color.data_ptr()
        other.color.sum().backward()
        assert torch.equal(color.grad, torch.ones(3, 3))

    def test_pickle(self):
        batch = pickle.loads(pickle.dumps(lamps()))
        assert torch.equal(batch.color, lamps().color)
        assert len(batch) == 3

    def test_gather_picks_rows_and_sets_the_batch_size(self):
        batch = lamps(3)
        color, power = batch.color.clone(), batch.power.clone()
        index = torch.tensor([2, 0, 0, 1])
        assert batch.gather_props(index) is batch
        assert torch.equal(batch.color, color[index])
        assert torch.equal(batch.power, power[index])
        assert len(batch) == 4

    def test_gather_leaves_first_dimension_one(self):
        batch = TensorProperties(color=((1.0, 2.0, 3.0),))
        batch.gather_props(torch.tensor([0, 0, 0]))
        assert batch.color.shape == (1, 3)
        assert len(batch) == 1

    def test_gather_entry_by_entry(self):
        values = torch.arange(12.0).reshape(3, 4)
        index = torch.tensor([[2, 0, 1, 1], [0, 0, 2, 2]])
        batch = TensorProperties(a=values).gather_props(index)
        assert torch.equal(batch.a, values.gather(0, index))
        column = torch.tensor([[2], [0]])
        assert torch.equal(TensorProperties(a=values).gather_props(column).a, values[[2, 0]])

    def test_gather_has_a_gradient(self):
        values = torch.zeros(3, 2, requires_grad=True)
        TensorProperties(a=values).gather_props(torch.tensor([2, 2, 0])).a.sum().backward()
        assert torch.equal(values.grad, torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]))

    def test_gather_with_too_many_dimensions(self):
        with pytest.raises(ValueError, match="batch_idx must not have more dimensions than power, got 2 and 1"):
            lamps().gather_props(torch.zeros(2, 3, dtype=torch.int64))

    def test_parameters_set_later_follow(self):
        batch = lamps()
        batch.color = nn.Parameter(torch.arange(9.0).reshape(3, 3))
        assert torch.equal(batch.clone().color, batch.color)
        batch.gather_props(torch.tensor([1]))
        assert torch.equal(batch.color, torch.tensor([[3.0, 4.0, 5.0]]))


class TestFormat:
    def test_a_number_becomes_one_element(self):
        assert torch.equal(format_tensor(3), torch.tensor([3.0]))
        assert format_tensor(torch.tensor(3)).shape == (1,)

    def test_a_tensor_stays_itself(self):
        value = torch.ones(2, dtype=torch.int32)
        assert format_tensor(value) is value

    def test_dtype_is_for_what_is_no_tensor_yet(self):
        a, b = convert_to_tensors_and_broadcast(0.1, torch.zeros(2), dtype=torch.float64)
        assert (a.dtype, b.dtype) == (torch.float64, torch.float32)
        assert a.shape == (2,)

    def test_other_dimensions_are_left_alone(self):
        shapes = [t.shape for t in convert_to_tensors_and_broadcast(torch.zeros(4, 2, 3), 1.0, torch.zeros(1, 7))]
        assert shapes == [(4, 2, 3), (4,), (4, 7)]

    def test_sizes_that_do_not_match(self):
        with pytest.raises(ValueError, match=r"first dimensions must be 1 or 3, got \[2, 3\]"):
            convert_to_tensors_and_broadcast(torch.zeros(2), torch.zeros(3))


class TestImageSize:
    def test_one_or_two_numbers(self):
        assert parse_image_size(7) == (7, 7)
        assert parse_image_size([7, 9]) == (7, 9)
        assert parse_image_size((np.int64(7), 9)) == (7, 9)

    @pytest.mark.parametrize("size", [0, -1, 2.5, (1,), (1, 2, 3), [0, 4], (4, -1), [1.5, 2], [2.0, 2], "ab", None])
    def test_anything_else(self, size):
        with pytest.raises(ValueError, match="must be one or two positive integers"):
            parse_image_size(size)


def pixel_centers(height: int, width: int) -> torch.Tensor:
    """NDC centres of the pixels, (H, W, 2), as the rasterizer's page defines them."""
    range_x = 2.0 * width / height if width > height else 2.0
    range_y = 2.0 * height / width if height > width else 2.0
    x = range_x / 2 - range_x * (torch.arange(width, dtype=torch.float64) + 0.5) / width
    y = range_y / 2 - range_y * (torch.arange(height, dtype=torch.float64) + 0.5) / height
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)


class TestNdcSampling:
    @pytest.mark.parametrize(("size", "expected"), [((3, 6), (-0.5, -0.5)), ((6, 3), (-1.0, -0.25))])
    def test_anchors(self, size, expected):
        assert torch.allclose(ndc_to_grid_sample_coords(torch.tensor([1.0, 0.5]), size), torch.tensor(expected))

    @settings(deadline=None)
    @given(height=st.integers(1, 9), width=st.integers(1, 9))
    def test_a_pixel_centre_returns_the_pixel(self, height, width):
        image = torch.arange(2 * 3 * height * width, dtype=torch.float64).reshape(2, 3, height, width)
        grid = pixel_centers(height, width).expand(2, height, width, 2)
        torch.testing.assert_close(ndc_grid_sample(image, grid, padding_mode="border"), image, rtol=0, atol=1e-9)

    def test_any_number_of_grid_dimensions(self):
        image = torch.rand(2, 3, 4, 5)
        grid = torch.rand(2, 6, 7, 2) - 0.5
        flat = ndc_grid_sample(image, grid.reshape(2, 42, 2))
        assert torch.equal(ndc_grid_sample(image, grid).reshape(2, 3, 42), flat)
        assert ndc_grid_sample(image, grid[:, 0, 0]).shape == (2, 3)
        assert ndc_grid_sample(image, grid[:, :0]).shape == (2, 3, 0, 7)

    def test_dtypes_are_promoted(self):
        sampled = ndc_grid_sample(torch.rand(1, 1, 2, 2), torch.zeros(1, 1, 2, dtype=torch.float64))
        assert sampled.dtype == torch.float64

    def test_gradient(self):
        image = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
        grid = (torch.rand(1, 5, 2, dtype=torch.float64) - 0.5).requires_grad_()
        assert torch.autograd.gradcheck(ndc_grid_sample, (image, grid))

    def test_bad_input(self):
        with pytest.raises(ValueError, match="one batch size, got 2 and 3"):
            ndc_grid_sample(torch.zeros(2, 1, 2, 2), torch.zeros(3, 1, 2))
        with pytest.raises(ValueError, match=r"input must be \(B, C, H, W\)"):
            ndc_grid_sample(torch.zeros(1, 2, 2), torch.zeros(1, 1, 2))
        with pytest.raises(ValueError, match=r"grid_ndc must be \(B, ..., 2\)"):
            ndc_grid_sample(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 3))
        with pytest.raises(ValueError, match="two positive numbers"):
            ndc_to_grid_sample_coords(torch.zeros(2), (0, 4))
        with pytest.raises(ValueError, match="two positive numbers"):
            ndc_to_grid_sample_coords(torch.zeros(2), (4, 4, 4))
        with pytest.raises(ValueError, match=r"xy_ndc must be \(\.\.\., 2\)"):
            ndc_to_grid_sample_coords(torch.zeros(3), (4, 4))
