"""The claims of a paper on its page: the sentence, how it is judged, the verdict, and what bears on it."""

from __future__ import annotations

from mammoseg_lib.papers.claims import Claim
from mammoseg_lib.papers.schema import Paper
from mammoseg_lib.reports.gallery import Output
from mammoseg_lib.site.parts import cell, toward

LEDGER = ("rule", "printed", "measured", "verdict", "reason")


def claims(paper: Paper, outputs: list[Output], top: str) -> list[str]:
    """The paragraphs of a paper's claims; none where it has none."""
    if not paper.claims:
        return []
    judged = verdicts(outputs)
    text = ["## Claims", "Sentences of the paper that can be tested, each with a rule set before the runs."]
    for claim in paper.claims:
        text += [f"### {heading(claim)}", f"> {cell(claim.quote)}\n>\n> Section {claim.section}"]
        facts = {"judged by": how(claim), **judged.get(claim.id, {})}
        text.append("\n".join(f"- **{name}**: {cell(value)}" for name, value in facts.items() if value))
        shown = [each for each in outputs if claim.id in each.record.get("claims", [])]
        if shown:
            text.append("Bears on it: " + ", ".join(toward(each, top) for each in shown))
    return text


def heading(claim: Claim) -> str:
    """A claim's id as words: its heading, and with hyphens its address on the page."""
    return claim.id.replace("_", " ").capitalize()


def how(claim: Claim) -> str:
    """How a claim is judged, in a line."""
    if claim.untestable:
        return f"nothing here: {claim.untestable}"
    if claim.count is not None:
        return f"counting {claim.count.how}"
    arms, against = (" and ".join(each) for each in (claim.arms, claim.against))
    return f"{arms} against {against}, in {', '.join(claim.metrics)}; study {claim.study}"


def verdicts(outputs: list[Output]) -> dict[str, dict[str, str]]:
    """What the ledger of a notebook says of each claim: columns of a table that has `claim` and `verdict`."""
    for output in outputs:
        if output.is_table:
            table = output.table()
            if {"claim", "verdict"} <= set(table.columns):
                columns = [name for name in LEDGER if name in table.columns]
                rows = table.drop_duplicates("claim").set_index("claim")[columns]
                return rows.to_dict(orient="index")
    return {}
