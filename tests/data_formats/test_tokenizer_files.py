"""Vocabularies beside a checkpoint, and whether captions are lower-cased."""

import json

import pytest

from checkpoints_conversion.conversion import convert_file
from tests.helpers.torch_writer import write_torch_file
from tests.helpers.transformers_checkpoints import visualbert_state, write_settings
from xabl.data.tokenizer_files import find_tokenizer
from xabl.data.word_pieces import WordPieces, read_vocabulary
from xabl.errors import UserError
from xabl.models import model_directory

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNCASED = [*SPECIAL, "a", "dog", "##s", "caf", "##e"]
CASED = [*SPECIAL, "a", "Dog", "dog", "##s", "Caf", "##é"]


def write_vocabulary(folder, pieces):
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder / "vocab.txt"


def write_tokenizer_json(folder, pieces, lower_case, **changes):
    content = {
        "normalizer": {
            "type": "BertNormalizer",
            "lowercase": lower_case,
            "strip_accents": None,
            "handle_chinese_chars": True,
        }
        | changes,
        "model": {
            "type": "WordPiece",
            "vocab": {piece: number for number, piece in enumerate(pieces)},
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content))
    return path


def write_tokenizer_config(folder, **content):
    (folder / "tokenizer_config.json").write_text(json.dumps(content))


def pieces_of(tokenizer, caption):
    return tokenizer.tokens(tokenizer.encode(caption.split()).token_ids[1:-1])


def test_a_cased_model_keeps_capitals_and_accents(tmp_path):
    cased = WordPieces(write_vocabulary(tmp_path, CASED), lower_case=False)
    assert pieces_of(cased, "a Dogs Café") == ["a", "Dog", "##s", "Caf", "##é"]
    uncased = WordPieces(write_vocabulary(tmp_path, UNCASED))
    assert pieces_of(uncased, "A Dogs Café") == ["a", "dog", "##s", "caf", "##e"]


def test_the_pieces_of_a_tokenizer_json(tmp_path):
    path = write_tokenizer_json(tmp_path, CASED, False)
    assert read_vocabulary(path) == tuple(CASED)
    assert WordPieces(path, lower_case=False).size == len(CASED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "BPE"}, "its pieces are of the kind BPE, not WordPiece"),
        ({"vocab": {"[PAD]": 0, "[UNK]": 2}}, "the ids of its pieces are not 0, 1, 2"),
        ({"vocab": 3}, "not the word pieces of a BERT"),
    ],
)
def test_a_tokenizer_json_of_another_kind(tmp_path, change, message):
    path = write_tokenizer_json(tmp_path, CASED, False)
    content = json.loads(path.read_text())
    content["model"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_vocabulary(path)


def test_nothing_is_there(tmp_path):
    found = find_tokenizer(tmp_path)
    assert (found.vocabulary, found.lower_case) == (None, None)


@pytest.mark.parametrize("lower_case", [True, False])
def test_what_the_files_say(tmp_path, lower_case):
    path = write_tokenizer_json(tmp_path, CASED, lower_case)
    found = find_tokenizer(tmp_path)
    assert (found.vocabulary, found.lower_case) == (path, lower_case)
    write_tokenizer_config(tmp_path, do_lower_case=lower_case, strip_accents=None)
    path = write_vocabulary(tmp_path, CASED)
    found = find_tokenizer(tmp_path)
    assert (found.vocabulary, found.lower_case) == (path, lower_case)


def test_files_that_contradict_each_other(tmp_path):
    write_tokenizer_json(tmp_path, CASED, False)
    write_tokenizer_config(tmp_path, do_lower_case=True)
    claims = r"tokenizer_config\.json says True but tokenizer\.json says False"
    with pytest.raises(UserError, match=claims):
        find_tokenizer(tmp_path)
    write_tokenizer_config(tmp_path, do_lower_case=False)
    write_vocabulary(tmp_path, UNCASED)
    with pytest.raises(UserError, match="hold different word pieces; give the one"):
        find_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do_lower_case": True, "strip_accents": False}, "strip_accents is False and"),
        ({"tokenize_chinese_chars": False}, "tokenize_chinese_chars is false"),
        ({"do_lower_case": "yes"}, "do_lower_case is 'yes', expected true or false"),
    ],
)
def test_captions_prepared_in_another_way(tmp_path, fields, message):
    write_tokenizer_config(tmp_path, **fields)
    with pytest.raises(UserError, match=message):
        find_tokenizer(tmp_path)


# ---- With a checkpoint: what the model directory keeps ----


@pytest.fixture
def published(tmp_path):
    """A folder with a checkpoint of 30 word pieces and no vocabulary."""
    folder = tmp_path / "published"
    folder.mkdir()
    write_torch_file(folder / "pytorch_model.bin", visualbert_state(), "zip")
    write_settings(folder)
    return folder


def thirty(pieces):
    return [*pieces, *(f"[unused{n}]" for n in range(30 - len(pieces)))]


def kept(model):
    vocabulary = model_directory.vocabulary_path(model)
    pieces = None if vocabulary is None else list(read_vocabulary(vocabulary))
    return model_directory.load_config(model), pieces


def test_no_vocabulary_is_told(tmp_path, published):
    summary = convert_file(published, tmp_path / "model")
    assert "assumed: no vocabulary is beside it: scoring will need --vocab" in summary
    config, pieces = kept(tmp_path / "model")
    assert config.do_lower_case and pieces is None


def test_the_vocabulary_beside_the_checkpoint_is_kept(tmp_path, published):
    write_vocabulary(published, thirty(UNCASED))
    summary = convert_file(published, tmp_path / "model")
    assert "assumed" not in summary
    config, pieces = kept(tmp_path / "model")
    assert config.do_lower_case and pieces == thirty(UNCASED)


def test_a_tokenizer_json_becomes_a_vocabulary(tmp_path, published):
    write_tokenizer_json(published, thirty(CASED), False)
    convert_file(published, tmp_path / "model")
    config, pieces = kept(tmp_path / "model")
    assert not config.do_lower_case and config.name.endswith("-cased")
    assert pieces == thirty(CASED)


def test_a_cased_vocabulary_without_a_word_on_it(tmp_path, published):
    write_vocabulary(published, thirty(CASED))
    summary = convert_file(published, tmp_path / "model")
    assert "assumed: captions keep their capitals, since the vocabulary has" in summary
    assert not kept(tmp_path / "model")[0].do_lower_case


def test_a_cased_vocabulary_for_captions_in_lower_case(tmp_path, published):
    write_vocabulary(published, thirty(CASED))
    write_tokenizer_config(published, do_lower_case=True)
    with pytest.raises(
        UserError, match=r'has pieces with capitals.*"do_lower_case": f'
    ):
        convert_file(published, tmp_path / "model")


def test_a_vocabulary_of_another_size(tmp_path, published):
    write_vocabulary(published, UNCASED)
    with pytest.raises(UserError, match=r"has 10 word pieces .lines., the model"):
        convert_file(published, tmp_path / "model")
    # The one that is given counts, whatever lies beside the checkpoint.
    given = write_vocabulary(tmp_path, thirty(UNCASED))
    convert_file(published, tmp_path / "model", vocabulary=given)
    assert kept(tmp_path / "model")[1] == thirty(UNCASED)
