"""From word pieces and region features to the first hidden states.

One module for the words of all models but VL-BERT, one for each kind of region
embeddings. Source: Bugliarello et al. (TACL 2021) and the published weights' code.
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from xabl.models import region_embedding
from xabl.models.dropout import Dropout
from xabl.models.layers import Numerics
from xabl.models.structs import ProjectedRegions, RegionInput, Streams, TextInput

_ONLY_ROW = np.zeros(1, np.int32)  # of tables that have one


class TextEmbeddings(Numerics):
    """Word + position + token type, LayerNorm, dropout.

    VL-BERT's words also carry a visual vector; its regions, and UNITER's, read the
    tables of this module, and single-stream models share its LayerNorm.
    """

    def setup(self):
        config = self.config
        self.word = self.embed_table(config.vocab_size, config.hidden_size)
        self.position = self.embed_table(
            config.max_position_embeddings, config.hidden_size
        )
        self.token_type = self.embed_table(config.type_vocab_size, config.hidden_size)
        self.norm = self.layer_norm()
        self.dropout = Dropout(config.hidden_dropout_prob)

    def __call__(
        self, text: TextInput, *, deterministic: bool
    ) -> Float[Array, "batch words hidden"]:
        positions = jnp.arange(text.token_ids.shape[1])[None, :]
        return self.normalised(
            self.word(text.token_ids)
            + self.position(positions)
            + self.token_type(text.token_type_ids),
            deterministic=deterministic,
        )

    def normalised(
        self, summed: Float[Array, "batch _ hidden"], *, deterministic: bool
    ) -> Float[Array, "batch _ hidden"]:
        return self.dropout(self.norm(summed), deterministic=deterministic)


class RegionEmbeddings(Numerics):
    """Base of all region embeddings, in two parts.

    `project` makes products of a row's features and of its location, and needs nothing
    but the row: `project_features` [*rows features] -> [*rows region_hidden], which is
    affine, so that the product of a mean is the mean of the products, and
    `project_locations` [*rows locations] -> the same, or None where a model does not
    use them. `__call__` makes the first hidden states from the two.
    """

    def project(
        self, regions: RegionInput, deterministic: bool = True
    ) -> ProjectedRegions:
        """The first part, of whole inputs."""
        del deterministic  # dropout comes later, in all models but VL-BERT
        return ProjectedRegions(
            features=self.project_features(regions.features),
            locations=self.project_locations(regions.locations),
            is_zero=jnp.all(regions.features == 0, axis=-1),
            mask=regions.mask,
        )

    def masked_projection(self) -> Float[Array, " region_hidden"]:
        """Stands for `project_features` of a masked row, whose features are zero."""
        return self.project_features(jnp.zeros(self.config.v_feature_size))


class VilbertRegions(RegionEmbeddings):
    """LayerNorm(dense(feature) + dense(location)), dropout."""

    def setup(self):
        self.feature = self.dense(self.config.v_hidden_size)
        self.location = self.dense(self.config.v_hidden_size)
        self.norm = self.layer_norm()
        self.dropout = Dropout(self.config.v_hidden_dropout_prob)

    def project_features(self, features):
        return self.feature(features)

    def project_locations(self, locations):
        return self.location(locations)

    def __call__(
        self,
        regions: ProjectedRegions,
        text_embeddings: TextEmbeddings,
        deterministic: bool,
    ) -> Float[Array, "batch regions region_hidden"]:
        del text_embeddings  # nothing is shared with the words
        summed = regions.features + regions.locations
        return self.dropout(self.norm(summed), deterministic=deterministic)


class LxmertRegions(RegionEmbeddings):
    """Mean of LayerNorm(dense(feature)) and LayerNorm(dense(location)), dropout."""

    def setup(self):
        self.feature = self.dense(self.config.v_hidden_size)
        self.location = self.dense(self.config.v_hidden_size)
        self.feature_norm = self.layer_norm()
        self.location_norm = self.layer_norm()
        self.dropout = Dropout(self.config.v_hidden_dropout_prob)

    def project_features(self, features):
        return self.feature(features)

    def project_locations(self, locations):
        return self.location_norm(self.location(locations))

    def __call__(
        self,
        regions: ProjectedRegions,
        text_embeddings: TextEmbeddings,
        deterministic: bool,
    ) -> Float[Array, "batch regions region_hidden"]:
        del text_embeddings  # nothing is shared with the words
        mean = (self.feature_norm(regions.features) + regions.locations) / 2
        return self.dropout(mean, deterministic=deterministic)


class UniterRegions(RegionEmbeddings):
    """Normalised feature and location, and the words' token type 1; LayerNorm."""

    def setup(self):
        self.feature = self.dense(self.config.v_hidden_size)
        self.location = self.dense(self.config.v_hidden_size)
        self.feature_norm = self.layer_norm()
        self.location_norm = self.layer_norm()
        self.norm = self.layer_norm()
        self.dropout = Dropout(self.config.hidden_dropout_prob)

    def project_features(self, features):
        return self.feature(features)

    def project_locations(self, locations):
        return self.location_norm(self.location(locations))

    def __call__(
        self,
        regions: ProjectedRegions,
        text_embeddings: TextEmbeddings,
        deterministic: bool,
    ) -> Float[Array, "batch regions region_hidden"]:
        summed = (
            self.feature_norm(regions.features)
            + regions.locations
            + text_embeddings.token_type(jnp.array(1))
        )
        return self.dropout(self.norm(summed), deterministic=deterministic)


class VisualBertRegions(RegionEmbeddings):
    """Projected feature with position 0 and type 1; locations are not used."""

    def setup(self):
        config = self.config
        self.projection = self.dense(config.v_hidden_size)
        self.token_type = self.embed_table(config.type_vocab_size, config.hidden_size)
        self.position = self.embed_table(
            config.max_position_embeddings, config.hidden_size
        )

    def project_features(self, features):
        return self.projection(features)

    def project_locations(self, locations):
        del locations
        return None

    def __call__(
        self,
        regions: ProjectedRegions,
        text_embeddings: TextEmbeddings,
        deterministic: bool,
    ) -> Float[Array, "batch regions region_hidden"]:
        summed = (
            regions.features
            + self.position(jnp.array(0))
            + self.token_type(jnp.array(1))
        )
        return text_embeddings.normalised(summed, deterministic=deterministic)


class VlBertEmbeddings(RegionEmbeddings):
    """Both streams of VL-BERT: words see the last region, regions follow the words."""

    def setup(self):
        config = self.config
        self.visual = self.dense(config.v_hidden_size)
        self.visual_dropout = Dropout(config.v_attention_probs_dropout_prob)
        self.text_visual_norm = self.layer_norm()
        self.object_visual_norm = self.layer_norm()
        self.object_linguistic = self.embed_table(1, config.hidden_size)
        self.object_mask_visual = self.embed_table(1, config.v_feature_size)
        self.end = self.embed_table(1, config.hidden_size)
        if self._has_mask_word:
            self.object_mask_word = self.embed_table(1, config.hidden_size)

    def project(
        self, regions: RegionInput, deterministic: bool = True
    ) -> ProjectedRegions:
        """One product of coordinates and features, after dropout of both."""
        # A region is masked when all its features are exactly zero; no flag says so.
        is_zero = jnp.all(regions.features == 0, axis=-1)
        features = jnp.where(
            is_zero[..., None],
            self.object_mask_visual(_ONLY_ROW),
            regions.features.astype(self.dtype),
        )
        rows = jnp.concatenate([self._coordinates(regions.locations), features], -1)
        rows = self.visual_dropout(rows, deterministic=deterministic)
        return ProjectedRegions(
            features=self.visual(rows),
            locations=None,
            is_zero=is_zero,
            mask=regions.mask,
        )

    def project_features(self, features):
        kernel, bias = self._visual
        return self._product(features, kernel[-self.config.v_feature_size :]) + bias

    def project_locations(self, locations):
        kernel, _ = self._visual
        coordinates = self._coordinates(locations)
        return self._product(coordinates, kernel[: -self.config.v_feature_size])

    def masked_projection(self):
        return self.project_features(self.object_mask_visual(_ONLY_ROW)[0])

    @property
    def _has_mask_word(self) -> bool:
        return any(target.name == "6" for target in self.config.visual_targets)

    @property
    def _visual(self) -> tuple[Float[Array, "both hidden"], Float[Array, " hidden"]]:
        """Kernel, coordinates' rows before features', and bias of the one product."""
        parameters = self.visual.variables["params"]
        return (
            parameters["kernel"].astype(self.dtype),
            parameters["bias"].astype(self.dtype),
        )

    def _product(self, rows, kernel):
        return self.product(rows.astype(self.dtype), kernel).astype(self.dtype)

    def _coordinates(self, locations):
        size = self.config.v_coordinate_embeddings_dim
        return coordinate_embeddings(locations[..., :4], size).astype(self.dtype)

    def __call__(
        self,
        text: TextInput,
        regions: ProjectedRegions,
        text_embeddings: TextEmbeddings,
        deterministic: bool,
    ) -> Streams:
        visual = regions.features
        if regions.locations is not None:
            visual = visual + regions.locations
        visual = nn.relu(visual)
        num_regions = visual.shape[1]
        word_positions, region_positions = vl_bert_positions(
            text.mask, text.position_shift_start, num_regions
        )
        words = (
            text_embeddings.word(text.token_ids)
            + self.text_visual_norm(visual[:, -1:])
            + text_embeddings.token_type(text.token_type_ids)
            + text_embeddings.position(word_positions)
        )
        linguistic = self.object_linguistic(_ONLY_ROW)
        if self._has_mask_word:
            linguistic = jnp.where(
                regions.is_zero[..., None], self.object_mask_word(_ONLY_ROW), linguistic
            )
        is_last = (jnp.arange(num_regions) == num_regions - 1)[None, :, None]
        object_states = (
            self.object_visual_norm(visual)
            + jnp.where(is_last, self.end(_ONLY_ROW), linguistic)
            + text_embeddings.token_type(jnp.array(2))
            + text_embeddings.position(region_positions)
        )
        return Streams(
            words=text_embeddings.normalised(words, deterministic=deterministic),
            regions=text_embeddings.normalised(
                object_states, deterministic=deterministic
            ),
        )


def coordinate_embeddings(
    corners: Float[Array, "*rows 4"], size: int
) -> Float[Array, "*rows coordinates"]:
    """Sines and cosines of centre x, centre y, width and height, times 100.

    Args:
        corners: x1, y1, x2, y2, relative (0 ... 1).
        size: wave lengths per coordinate; the result has 8 * size columns.
    """
    x1, y1, x2, y2 = jnp.moveaxis(corners.astype(jnp.float32), -1, 0)
    placed = 100 * jnp.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], axis=-1)
    waves = placed[..., None] / 1000 ** (jnp.arange(size, dtype=jnp.float32) / size)
    both = jnp.concatenate([jnp.sin(waves), jnp.cos(waves)], axis=-1)
    return both.reshape(*corners.shape[:-1], -1)


def vl_bert_positions(
    text_mask: Bool[Array, "batch words"],
    shift_start: Int[Array, " batch"],
    num_regions: int,
) -> tuple[Int[Array, "batch words"], Int[Array, "batch regions"]]:
    """Positions of words and regions in VL-BERT's one sequence.

    Words from `shift_start` on come after the regions. The intended start is the
    example's own end of text; the published code takes the least one of its batch,
    which moves real words of the longer captions. Regions stand at the example's own
    end of text, the last row one further.
    """
    words = jnp.arange(text_mask.shape[1])[None, :]
    shifted = words >= shift_start[:, None]
    word_positions = words + jnp.where(shifted, num_regions, 0)
    # [SEP] is always attended to; words before it may not be.
    end = jnp.max(jnp.where(text_mask, words + 1, 0), axis=1)[:, None]
    is_last = jnp.arange(num_regions) == num_regions - 1
    return word_positions, end + is_last[None, :].astype(jnp.int32)


# The arithmetic of each kind, by its name.
REGION_MODULES: dict[str, type[RegionEmbeddings]] = {
    region_embedding.VILBERT.name: VilbertRegions,
    region_embedding.LXMERT.name: LxmertRegions,
    region_embedding.UNITER.name: UniterRegions,
    region_embedding.VISUALBERT.name: VisualBertRegions,
    region_embedding.VL_BERT.name: VlBertEmbeddings,
}
