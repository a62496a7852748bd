"""What was found not to belong together, and what is done about it."""

import dataclasses
from collections.abc import Sequence

from xabl.ablation.options import OnMismatch
from xabl.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that does not fit.

    of: what it is about: "boxes", "features", "words" ...
    expected: what was expected.
    seen: what was seen instead.
    cause: what most likely is the reason.
    cure: what to do.
    certain: whether nothing but a mistake explains it; otherwise it is a suspicion.
    """

    of: str
    expected: str
    seen: str
    cause: str
    cure: str
    certain: bool = False

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.of}: expected {self.expected}, found {self.seen}; most likely "
            f"{self.cause}: {self.cure}"
        )


def stop_if_asked(findings: Sequence[Finding], on_mismatch: OnMismatch) -> None:
    """Stops a run because of findings, if it is to stop because of such.

    Raises:
        UserError: has all of them.
    """
    stops = {
        OnMismatch.STOP_IF_CERTAIN: any(finding.certain for finding in findings),
        OnMismatch.STOP: bool(findings),
        OnMismatch.WARN: False,
    }
    if stops[on_mismatch]:
        raise UserError(
            "; and ".join(map(str, findings))
            + " (--mismatch=warn scores them as they are)"
        )
