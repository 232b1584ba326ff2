"""The model card says what the weights are made of, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from aullava.export.card import Base, Data, Facts, chain, model_card

BP4D = Data(
    name="bp4d",
    licence="research only, signed agreement; ask Binghamton University",
    protocol="official3, fold 1",
    fingerprint="0123456789abcdef",
    aus=("AU1", "AU12"),
    scores={"AU1": {"support": 40.0, "positives": 3.0, "f1": 0.5}, "AU12": {"support": 41.0, "f1": None}},
    macro={"f1": 0.5},
)
OPEN = replace(BP4D, name="drawn", licence="Apache-2.0; shows nobody")
FACTS = Facts(
    title="bp4d",
    bases=(
        Base("vision encoder", "openai/clip-vit-large-patch14-336", "mit"),
        Base("language model", "lmsys/vicuna-7b-v1.5", "llama2"),
    ),
    trained="linear projector; lora r=8, alpha=16 on q_proj, v_proj",
    data=(BP4D,),
    scored="test",
    dtype="bfloat16",
    steps=100,
    versions={"torch": "2.13.0", "machine": "Linux"},
    verified=("images  50",),
)


def front(facts: Facts) -> dict[str, object]:
    read: dict[str, object] = yaml.safe_load(model_card(facts).split("---\n")[1])
    return read


def test_research_data_make_research_weights() -> None:
    assert chain(FACTS)[0] == "**Research only**: the weights were trained on bp4d."
    assert front(FACTS)["license"] == "other"
    assert front(FACTS)["base_model"] == ["openai/clip-vit-large-patch14-336", "lmsys/vicuna-7b-v1.5"]


def test_a_base_with_terms_of_its_own_hands_them_on() -> None:
    assert "The terms of `lmsys/vicuna-7b-v1.5` (llama2) hold for these weights too." in chain(FACTS)
    unknown = replace(FACTS, bases=(Base("language model", "a/b", "unknown"),), data=(OPEN,))
    assert chain(unknown) == ["The licence of `a/b` is not known here: look it up before you share this."]
    assert front(unknown)["license"] == "other"


def test_open_parts_and_open_data_make_open_weights() -> None:
    free = replace(FACTS, bases=FACTS.bases[:1], data=(OPEN,))
    assert front(free)["license"] == "apache-2.0"
    assert chain(free) == ["No part asks for more than that its licence text is kept."]


@pytest.mark.parametrize(
    "words",
    [
        "Article 5(1)(f) of the AI Act",
        "official3, fold 1",
        "`0123456789abcdef`",
        "| AU1 | 40 | 3 | 0.500 |",
        "| AU12 | 41 | - | - |",
        "| mean | - | - | 0.500 |",
        "test people, who took no part",
        "linear projector; lora r=8, alpha=16 on q_proj, v_proj",
        "| torch | 2.13.0 |",
        "images 50",
    ],
)
def test_the_card_says(words: str) -> None:
    assert words in " ".join(model_card(FACTS).split())


def test_what_was_not_done_is_said() -> None:
    card = model_card(replace(FACTS, scored="", verified=()))
    assert "neither validated nor tested" in card
    assert "was **not** compared with the run" in card
    assert "validation people; it was not tested" in model_card(replace(FACTS, scored="val"))
