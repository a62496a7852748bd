"""Word pieces and the words they belong to."""

import numpy as np
import pytest

from tests.helpers.golden_world import VOCABULARY, examples
from xabl.data.word_pieces import MAX_LENGTH, WordPieces, read_vocabulary
from xabl.errors import UserError


@pytest.fixture(scope="module")
def pieces():
    return WordPieces(VOCABULARY)


def encoded(pieces, *words):
    """(piece, index of its word) of everything between [CLS] and [SEP]."""
    caption = pieces.encode(words)
    tokens = pieces.tokens(caption.token_ids)
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
    assert caption.word_index[0] == caption.word_index[-1] == -1
    return list(zip(tokens[1:-1], caption.word_index[1:-1].tolist(), strict=True))


@pytest.mark.parametrize("number", range(80))
def test_pieces_and_targets_are_the_published_ones(pieces, number):
    example = examples()[number]
    caption = pieces.encode(example["sentence"].split(" "))
    positions = caption.positions_of(
        example["first_word_index"], len(example["caption"].split(" "))
    )
    token_ids = np.full(MAX_LENGTH, pieces.pad_id)
    token_ids[: len(caption.token_ids)] = caption.token_ids
    labels = np.full(MAX_LENGTH, -1)
    labels[positions] = token_ids[positions]
    token_ids[positions] = pieces.mask_id
    assert token_ids.tolist() == example["token"]
    assert labels.tolist() == example["lm_label_ids"]


def test_special_ids_and_size(pieces):
    assert (pieces.pad_id, pieces.unk_id, pieces.cls_id) == (0, 100, 101)
    assert (pieces.sep_id, pieces.mask_id, pieces.size) == (102, 103, 284)


def test_accents_are_stripped_within_their_word(pieces):
    # The same letters, composed and as letter and combining accent.
    for cafe in ("Caf\u00e9", "Cafe\u0301"):
        assert encoded(pieces, "a", cafe, "table") == [
            ("a", 0),
            ("cafe", 1),
            ("table", 2),
        ]


def test_unknown_characters_before_a_phrase_keep_their_word(pieces):
    words = ("\u4e2d\u6587", "#", "a#b", "\u20ac5", "man")
    assert encoded(pieces, *words) == [
        ("[UNK]", 0),  # every Chinese character is a piece of its own
        ("[UNK]", 0),
        ("[UNK]", 1),
        ("a", 2),
        ("[UNK]", 2),
        ("b", 2),
        ("[UNK]", 3),  # not split off: the euro sign is no punctuation
        ("man", 4),
    ]


def test_hyphens_split_pieces_but_not_words(pieces):
    assert encoded(pieces, "the", "African-American", "man") == [
        ("the", 0),
        ("african", 1),
        ("-", 1),
        ("american", 1),
        ("man", 2),
    ]


def test_words_without_pieces_shift_nothing(pieces):
    # A zero-width no-break space and a lone accent are cleaned away.
    assert encoded(pieces, "\ufeff", "man", "\u0301", "dog") == [("man", 1), ("dog", 3)]


def test_caption_is_cut_after_36_pieces(pieces):
    caption = pieces.encode(["man"] * 35 + ["snowboard", "dog"])
    assert len(caption.token_ids) == MAX_LENGTH
    assert caption.token_ids[-1] == pieces.sep_id
    assert caption.positions_of(34, 2).tolist() == [35, 36]  # "##board" is cut off
    assert caption.positions_of(36, 1).tolist() == []


def test_no_words_are_two_pieces(pieces):
    assert pieces.encode([]).token_ids.tolist() == [pieces.cls_id, pieces.sep_id]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nman\n", r"\[MASK\] missing"),
        (b"", "line 1: an empty line"),
        (b"[PAD]\n\n[UNK]\n", "line 2: an empty line"),
        (b"[PAD]\n[UNK]\nman\nman\n", "line 4: 'man' stands on line 3 already"),
        (b"[PAD]\n\xff\xfe\n", "byte 6 is not UTF-8"),
        (b'{"man": 1}', "not a BERT vocabulary"),
    ],
)
def test_malformed_vocabulary_is_refused(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        WordPieces(tmp_path / "vocab.txt")
    assert str(tmp_path / "vocab.txt") in str(error.value)


def test_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(UserError, match=r"vocab\.txt is missing"):
        read_vocabulary(tmp_path / "vocab.txt")


def test_windows_line_ends_are_no_part_of_a_piece(tmp_path):
    text = VOCABULARY.read_text()
    (tmp_path / "vocab.txt").write_bytes(text.replace("\n", "\r\n").encode())
    assert read_vocabulary(tmp_path / "vocab.txt") == read_vocabulary(VOCABULARY)
