"""The second level of docs/your_model.md, carried out: ViLT, and a decoder."""

import functools
import re

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import xabl
from tests.helpers import ablation, ablation_binaries, golden_world
from tests.helpers.binaries import ROOT
from tests.helpers.report_pages import Page
from xabl import results
from xabl.analysis.report import ReportOptions, write_report

PAGE = (ROOT / "docs" / "your_model.md").read_text()
SIDE, PATCH = 64, 16
SMALL = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder as the page expects it, and the results of all that is on it."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "flickr30k_entities").symlink_to(golden_world.ENTITIES)
    (folder / "vocab.txt").symlink_to(golden_world.VOCABULARY)
    golden_world.write_regions(folder, "hdf5").rename(folder / "regions.h5")
    (folder / "images").mkdir()
    draws = np.random.default_rng(0)
    for image in golden_world.golden_images():
        colours = draws.integers(0, 256, (image.img_h, image.img_w, 3), np.uint8)
        Image.fromarray(colours).save(folder / "images" / f"{image.image_id}.png")
    torch.manual_seed(0)
    save_vilt(folder / "models" / "vilt")
    save_decoder(folder / "models" / "decoder")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    (folder / "results").mkdir()
    names = {}
    for title in ("ViLT: pixels", "A decoder that"):
        names[title] = carry_out(title)
    config = ablation.shallow("uniter")
    ablation_binaries.save(
        folder / "models" / "uniter", config, ablation.ruled_params(config)
    )
    xabl.ablate(
        folder / "models" / "uniter",
        entities="flickr30k_entities",
        regions="regions.h5",
        label="UNITER",
    ).save("results/uniter")
    yield folder, names
    patch.undo()


def carry_out(title):
    """The code below a heading that begins with `title`; under 60 lines."""
    text = PAGE.partition(f"### {title}")[2]
    code = re.search(r"^```python\n(.*?)^```", text, re.M | re.S)[1]
    assert code.count("\n") < 60
    names = {}
    exec(compile(code, "docs/your_model.md", "exec"), names)
    return names


def randomise(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                width = parameter[0].numel()
                parameter.normal_(0, 1.5 * width**-0.5)
    return model.eval()


def save_vilt(folder):
    pieces = golden_world.VOCABULARY.read_text().splitlines()
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    transformers.BertTokenizerFast(vocabulary).save_pretrained(folder)
    config = transformers.ViltConfig(
        **SMALL,
        vocab_size=len(pieces),
        image_size=SIDE,
        patch_size=PATCH,
        max_position_embeddings=60,
    )
    randomise(transformers.ViltForMaskedLM(config)).save_pretrained(folder)


def save_decoder(folder):
    """Its tokens are of bytes: other ones than word pieces, and more of them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sentences = [example.sentence for example in ablation.examples()]
    tokenizer.train_from_iterator(sentences, trainer)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>"
    ).save_pretrained(folder)
    encoder = transformers.ViTModel(
        transformers.ViTConfig(**SMALL, image_size=SIDE, patch_size=PATCH)
    )
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=150,
        add_cross_attention=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    whole = transformers.VisionEncoderDecoderModel(
        encoder=encoder, decoder=transformers.GPT2LMHeadModel(config)
    )
    randomise(whole).save_pretrained(folder)


def frame_of(name):
    return pd.read_parquet(f"results/{name}/scores.parquet")


@pytest.mark.parametrize("name, title", [("vilt", "ViLT"), ("decoder", "A decoder")])
def test_results_are_whole(world, name, title):
    assert results.check(f"results/{name}") == ()
    frame = frame_of(name)
    assert set(frame["direction"]) == {"vis4lang"}  # it has no classes
    assert frame["mlm"].notna().all() and (frame["mlm"] > 0).all()
    # It sees what is hidden from it change.
    by = frame.pivot(index="example", columns="condition", values="mlm")
    assert (by["all"] - by["none"]).abs().max() > 0.01
    assert by["all"].std() > 0.01


def test_vilt_has_the_word_pieces_of_its_vocabulary(world):
    ours, theirs = frame_of("uniter"), frame_of("vilt")
    key = ["example", "condition"]
    ours = ours[ours["direction"] == "vis4lang"].set_index(key)["target_pieces"]
    assert theirs.set_index(key)["target_pieces"].sum() >= ours.sum() > 0


def test_vilt_alone_gives_the_same(world):
    """One caption by hand: all words of the phrase masked, every patch grey."""
    _, names = world
    vilt, tokenizer = (names["ViLT: pixels"][name] for name in ("vilt", "tokenizer"))
    rows = frame_of("vilt").query("condition == 'all'")
    for row in rows.iloc[[0, 30, 79]].itertuples():
        example = ablation.examples()[row.example]
        words = example.sentence.split(" ")
        ids, hidden, at = [tokenizer.cls_token_id], [], 1
        phrase = example.phrase
        for number, word in enumerate(words):
            of_word = tokenizer(word, add_special_tokens=False)["input_ids"]
            if phrase.first_word <= number < phrase.first_word + phrase.num_words:
                hidden += [(at + n, token) for n, token in enumerate(of_word)]
            at += len(of_word)
            ids += of_word
        ids = torch.tensor([[*ids, tokenizer.sep_token_id]])
        for place, _ in hidden:
            ids[0, place] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = vilt(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=torch.zeros(1, 3, SIDE, SIDE),
            ).logits[0]
        q = logits.log_softmax(-1)
        losses = [-float(q[place, token]) for place, token in hidden]
        assert row.target_pieces == len(losses)
        assert row.mlm == pytest.approx(np.mean(losses), abs=2e-5)


def test_the_decoder_alone_gives_the_same(world):
    """The chain rule: the caption up to the phrase's end, less that up to its start."""
    _, names = world
    model, tokenizer = (
        names["A decoder that"][name] for name in ("decoder", "tokenizer")
    )

    @functools.cache
    def log_prob(text):
        ids = torch.tensor([tokenizer("<s>" + text)["input_ids"]])
        with torch.no_grad():
            logits = model(
                pixel_values=torch.zeros(1, 3, SIDE, SIDE), decoder_input_ids=ids
            ).logits[0]
        q = logits[:-1].log_softmax(-1)
        return float(q.gather(-1, ids[0, 1:, None]).sum())

    rows = frame_of("decoder").query("condition == 'all'")
    for row in rows.iloc[[0, 7, 30, 79]].itertuples():
        example = ablation.examples()[row.example]
        words, first = example.sentence.split(" "), example.phrase.first_word
        last = first + example.phrase.num_words
        before = " ".join(words[:first])
        with_it = " ".join(words[:last])
        expected = log_prob(before) - log_prob(with_it)
        assert row.mlm * row.target_pieces == pytest.approx(expected, abs=2e-4)


def test_its_own_tokens_are_counted(world):
    folder, _ = world
    about = ablation_binaries.manifest(folder / "results" / "decoder")["model"]
    tokens = about["tokens"]
    assert tokens["own_tokens"] > 1.2 * tokens["words"] > 0
    assert about["about"] == {"checkpoint": "models/decoder"}
    assert "mean colour" in about["hides"]


def test_the_report_shows_them_beside_uniter(world):
    folder, _ = world
    report = folder / "report.html"
    write_report(folder / "results", report, ReportOptions(resamples=50))
    text = " ".join(Page(report).text.split())
    for label in ("ViLT", "Decoder"):
        assert f"{label} (1 seed): Removing all image regions" in text
        assert (
            f"{label} (1 seed): asymmetry not measured (no lang4vis in this run)"
            in text
        )
    assert "the model cannot be asked: lang4vis none" in text
    # Beside the table of losses, and among the notes on each.
    assert "With tokens of their own: Decoder; ViLT; losses" in text
    assert text.count("not comparable between models") == 3
