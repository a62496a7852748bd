"""What an ablation says of pixels and of tokens."""

import numpy as np
import pytest

import xabl


def told(**changed):
    """An ablation of an image of 8 x 4 pixels and three words."""
    given = {
        "image_id": "1",
        "image": None,
        "width": 8,
        "height": 4,
        "boxes": np.array([[-0.5, 0, 1, 1], [6, 3, 8.5, 3]], np.float32),
        "hidden_boxes": np.array([True, False]),
        "caption": "two red dogs",
        "spans": np.array([[0, 3], [4, 7], [8, 12]]),
        "hidden_words": np.array([False, True, True]),
        "asked_words": np.array([False, True, True]),
        "asked_region": None,
        "way": "average",
    }
    return xabl.Ablation(**given | changed)


def test_hidden_pixels():
    """A box holds its last pixel; a patch that is touched is hidden."""
    expected = np.zeros((4, 8), bool)
    expected[:2, :2] = True
    np.testing.assert_array_equal(told().hidden_pixels(4, 8), expected)
    twice = expected.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(told().hidden_pixels(8, 16), twice)
    other = told(hidden_boxes=np.array([False, True]))
    expected = np.zeros((4, 8), bool)
    expected[3, 6:] = True
    np.testing.assert_array_equal(other.hidden_pixels(4, 8), expected)
    expected[2, 6:] = True
    np.testing.assert_array_equal(other.hidden_pixels(4, 8, patch=2), expected)
    assert told(hidden_boxes=np.array([True, True])).hidden_pixels(4, 8).all()
    assert not told(hidden_boxes=np.array([False, False])).hidden_pixels(4, 8).any()
    nothing = {"boxes": np.zeros((0, 4), np.float32), "hidden_boxes": np.zeros(0, bool)}
    assert not told(**nothing).hidden_pixels(4, 8).any()
    with pytest.raises(xabl.UserError, match="4 x 8 pixels are not of patches of 3"):
        told().hidden_pixels(4, 8, patch=3)


def test_tokens_belong_to_the_word_they_end_in():
    """[BEGIN] two re d _dog s [END]: with or without the space before a word."""
    ends = [0, 3, 6, 7, 11, 12, 0]
    hidden = told().hidden_tokens(ends)
    assert hidden.tolist() == [False, False, True, True, True, True, False]
    log_probs = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0]
    assert told().by_word(log_probs, ends) == [[-3.0, -4.0], [-5.0, -6.0]]
    # Cut off after "re": nothing is left of the last word.
    assert told().by_word(log_probs[:3], ends[:3]) == [[-3.0], []]
    assert told().by_word(log_probs[:1], [13]) == [[], []]  # beyond the caption
