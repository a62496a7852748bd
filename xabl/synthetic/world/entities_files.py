"""Images and captions of the world as Flickr30k Entities files."""

from xml.sax.saxutils import escape

from xabl.data.flickr30k_entities import Caption
from xabl.synthetic.world.images import WorldImage


def annotated_line(caption: Caption) -> str:
    """A line of Sentences/<id>.txt: "[/EN#100/people A red girl] is near ..."."""
    words = list(caption.words)
    for phrase in caption.phrases:
        first, last = phrase.first_word, phrase.first_word + phrase.num_words - 1
        types = "/".join(phrase.types)
        words[first] = f"[/EN#{phrase.chain}/{types} {words[first]}"
        words[last] += "]"
    return " ".join(words)


def annotation_xml(image: WorldImage) -> str:
    """Annotations/<id>.xml, with pixels counted from 1.

    An object with two boxes is two entries of one chain; an object with two chains
    has two names; the scene and the sky have flags in place of a box.
    """
    lines = [
        "<annotation>",
        f"\t<filename>{escape(image.image_id)}.png</filename>",
        "\t<size>",
        f"\t\t<width>{image.width}</width>",
        f"\t\t<height>{image.height}</height>",
        "\t\t<depth>3</depth>",
        "\t</size>",
    ]
    for thing in image.objects:
        for box in thing.boxes.astype(int) + 1:
            lines.append("\t<object>")
            lines += [f"\t\t<name>{chain}</name>" for chain in thing.chains]
            lines.append("\t\t<bndbox>")
            lines += [
                f"\t\t\t<{name}>{number}</{name}>"
                for name, number in zip(
                    ("xmin", "ymin", "xmax", "ymax"), box, strict=True
                )
            ]
            lines += ["\t\t</bndbox>", "\t</object>"]
    for chain, scene, nobndbox in (
        (image.scene_chain, 1, 0),
        (image.sky_chain, 0, 1),
    ):
        lines += [
            "\t<object>",
            f"\t\t<name>{chain}</name>",
            f"\t\t<scene>{scene}</scene>",
            f"\t\t<nobndbox>{nobndbox}</nobndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])
