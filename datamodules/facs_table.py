"""The words of the Facial Action Coding System (FACS): one row per code, for both sides of the face together.

Numbers, names and muscles follow the FACS manual (Ekman, Friesen and Hager, 2002) and, for the codes that
the 2002 edition merged into others, its first edition (Ekman and Friesen, 1978). The descriptions are our own:
one plain sentence about what can be seen, because they are read by a language model as part of the question.
`datamodules/action_units.py` turns the rows into `ActionUnit`s and adds the one-sided codes.

FACS has no 3, 47, 48 or 49.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FACS_2002: Final = "FACS 2002 (Ekman, Friesen, Hager)"
FACS_1978: Final = "FACS 1978 (Ekman, Friesen)"
FEAFA_2019: Final = "FEAFA 2019 (FACS 1 and 2 as one unit)"


@dataclass(frozen=True, slots=True)
class FacsRow:
    """One FACS code.

    Attributes:
        stem: the code without a side, such as "AU12" or "AD34" (AD: action descriptor).
        name: the name in FACS, in lower case.
        muscle: what moves.
        description: one sentence about what can be seen when both sides move.
        one_side: the same for one side, with `{side}` where "left" or "right" stands; empty if no one-sided code.
        upper, lower: the same for the upper and the lower lip alone; empty if FACS codes no single lip.
        source: where number, name and muscle come from.
    """

    stem: str
    name: str
    muscle: str
    description: str
    one_side: str = ""
    upper: str = ""
    lower: str = ""
    source: str = FACS_2002


BROWS_AND_EYES: Final = (
    FacsRow(
        "AU1",
        "inner brow raiser",
        "frontalis, pars medialis",
        "The inner ends of the eyebrows are raised.",
        "The inner end of the {side} eyebrow is raised.",
    ),
    FacsRow(
        "AU1+2",
        "brow raiser",
        "frontalis",
        "The eyebrows are raised in full length.",
        "The {side} eyebrow is raised in full length.",
        source=FEAFA_2019,
    ),
    FacsRow(
        "AU2",
        "outer brow raiser",
        "frontalis, pars lateralis",
        "The outer ends of the eyebrows are raised.",
        "The outer end of the {side} eyebrow is raised.",
    ),
    FacsRow(
        "AU4",
        "brow lowerer",
        "corrugator supercilii, depressor supercilii, depressor glabellae",
        "The eyebrows are lowered and drawn together.",
        "The {side} eyebrow is lowered and drawn inward.",
    ),
    FacsRow(
        "AU5",
        "upper lid raiser",
        "levator palpebrae superioris",
        "The upper eyelids are raised and the eyes open wide.",
        "The {side} upper eyelid is raised and the eye opens wide.",
    ),
    FacsRow(
        "AU6",
        "cheek raiser",
        "orbicularis oculi, pars orbitalis",
        "The cheeks are raised and push up the skin below the eyes.",
        "The {side} cheek is raised and pushes up the skin below the eye.",
    ),
    FacsRow(
        "AU7",
        "lid tightener",
        "orbicularis oculi, pars palpebralis",
        "The eyelids are tightened and the eyes narrow.",
        "The {side} eyelids are tightened and the eye narrows.",
    ),
    FacsRow(
        "AU41",
        "lid droop",
        "relaxation of levator palpebrae superioris",
        "The upper eyelids droop.",
        "The {side} upper eyelid droops.",
        source=FACS_1978,
    ),
    FacsRow(
        "AU42",
        "slit",
        "orbicularis oculi",
        "The eyes are open only as slits.",
        "The {side} eye is open only as a slit.",
        source=FACS_1978,
    ),
    FacsRow(
        "AU43",
        "eye closure",
        "relaxation of levator palpebrae superioris; orbicularis oculi, pars palpebralis",
        "The eyes are closed.",
        "The {side} eye is closed.",
    ),
    FacsRow(
        "AU44",
        "squint",
        "orbicularis oculi, pars palpebralis",
        "The eyes are squeezed to a squint.",
        "The {side} eye is squeezed to a squint.",
        source=FACS_1978,
    ),
    FacsRow(
        "AU45",
        "blink",
        "relaxation of levator palpebrae superioris; orbicularis oculi, pars palpebralis",
        "The eyes close and open again at once.",
        "The {side} eye closes and opens again at once.",
    ),
    FacsRow(
        "AU46",
        "wink",
        "orbicularis oculi",
        "One eye is closed while the other stays open.",
        "The {side} eye is closed while the other stays open.",
    ),
)

NOSE_AND_CHEEKS: Final = (
    FacsRow(
        "AU9",
        "nose wrinkler",
        "levator labii superioris alaeque nasi",
        "The nose is wrinkled and its wings are pulled up.",
        "The {side} half of the nose is wrinkled and its wing is pulled up.",
    ),
    FacsRow(
        "AU11",
        "nasolabial furrow deepener",
        "zygomaticus minor",
        "The furrows from nose to mouth are deepened.",
        "The {side} furrow from nose to mouth is deepened.",
    ),
    FacsRow(
        "AD33",
        "blow",
        "buccinator, orbicularis oris",
        "The cheeks puff out while air is blown through the lips.",
        "The {side} cheek puffs out while air is blown through the lips.",
    ),
    FacsRow(
        "AD34",
        "puff",
        "buccinator, orbicularis oris",
        "The cheeks are puffed out behind closed lips.",
        "The {side} cheek is puffed out behind closed lips.",
    ),
    FacsRow(
        "AD35",
        "cheek suck",
        "buccinator",
        "The cheeks are sucked in.",
        "The {side} cheek is sucked in.",
    ),
    FacsRow(
        "AU38",
        "nostril dilator",
        "nasalis, pars alaris",
        "The nostrils are widened.",
        "The {side} nostril is widened.",
    ),
    FacsRow(
        "AU39",
        "nostril compressor",
        "nasalis, pars transversa; depressor septi nasi",
        "The nostrils are narrowed.",
        "The {side} nostril is narrowed.",
    ),
    FacsRow("AD40", "sniff", "nasalis", "The nostrils twitch in a sniff."),
)

MOUTH: Final = (
    FacsRow(
        "AU8",
        "lips toward each other",
        "orbicularis oris",
        "The lips of the open mouth move toward each other.",
    ),
    FacsRow(
        "AU10",
        "upper lip raiser",
        "levator labii superioris, caput infraorbitalis",
        "The upper lip is raised.",
        "The {side} half of the upper lip is raised.",
    ),
    FacsRow(
        "AU12",
        "lip corner puller",
        "zygomaticus major",
        "The lip corners are pulled back and up.",
        "The {side} lip corner is pulled back and up.",
    ),
    FacsRow(
        "AU13",
        "sharp lip puller",
        "levator anguli oris",
        "The lip corners are pulled sharply up and the cheeks bulge.",
        "The {side} lip corner is pulled sharply up and the cheek bulges.",
    ),
    FacsRow(
        "AU14",
        "dimpler",
        "buccinator",
        "The lip corners are tightened into dimples.",
        "The {side} lip corner is tightened into a dimple.",
    ),
    FacsRow(
        "AU15",
        "lip corner depressor",
        "depressor anguli oris",
        "The lip corners are pulled down.",
        "The {side} lip corner is pulled down.",
    ),
    FacsRow(
        "AU16",
        "lower lip depressor",
        "depressor labii inferioris",
        "The lower lip is pulled down.",
        "The {side} half of the lower lip is pulled down.",
    ),
    FacsRow(
        "AU18",
        "lip pucker",
        "incisivii labii superioris, incisivii labii inferioris",
        "The lips are puckered to a small round mouth.",
        "The {side} half of the lips is puckered toward the middle.",
    ),
    FacsRow("AD19", "tongue show", "muscles of the tongue", "The tongue shows between the lips."),
    FacsRow(
        "AU20",
        "lip stretcher",
        "risorius, platysma",
        "The lip corners are stretched straight sideways.",
        "The {side} lip corner is stretched straight sideways.",
    ),
    FacsRow(
        "AU22",
        "lip funneler",
        "orbicularis oris",
        "The lips are turned outward like a funnel.",
        "The {side} half of the lips is turned outward like a funnel.",
    ),
    FacsRow(
        "AU23",
        "lip tightener",
        "orbicularis oris",
        "The lips are tightened and look thin.",
        "The {side} half of the lips is tightened and looks thin.",
    ),
    FacsRow(
        "AU24",
        "lip presser",
        "orbicularis oris",
        "The lips are pressed together.",
        "The {side} half of the lips is pressed together.",
    ),
    FacsRow(
        "AU25",
        "lips part",
        "depressor labii inferioris; relaxation of mentalis or orbicularis oris",
        "The lips are parted.",
        "The {side} half of the lips is parted.",
    ),
    FacsRow(
        "AU28",
        "lip suck",
        "orbicularis oris",
        "The lips are sucked in over the teeth.",
        upper="The upper lip is sucked in over the teeth.",
        lower="The lower lip is sucked in over the teeth.",
    ),
    FacsRow(
        "AD32",
        "lip bite",
        "masseter, orbicularis oris",
        "The teeth bite on a lip.",
        "The teeth bite on the {side} half of a lip.",
    ),
    FacsRow(
        "AD36",
        "tongue bulge",
        "muscles of the tongue",
        "The tongue bulges out a cheek or a lip from inside.",
        "The tongue bulges out the {side} cheek from inside.",
    ),
    FacsRow("AD37", "lip wipe", "muscles of the tongue", "The tongue wipes over the lips."),
    FacsRow("AD50", "speech", "muscles of speech", "The mouth moves in speech."),
)

CHIN_JAW_AND_NECK: Final = (
    FacsRow(
        "AU17",
        "chin raiser",
        "mentalis",
        "The chin is pushed up and lifts the lower lip.",
        "The {side} half of the chin is pushed up and lifts the lower lip.",
    ),
    FacsRow(
        "AU21",
        "neck tightener",
        "platysma",
        "The skin of the neck is tightened and its cords show.",
        "The {side} half of the neck is tightened and its cords show.",
    ),
    FacsRow(
        "AU26",
        "jaw drop",
        "masseter; relaxation of temporalis and internal pterygoid",
        "The jaw is dropped and the mouth is open.",
    ),
    FacsRow(
        "AU27",
        "mouth stretch",
        "pterygoids, digastric",
        "The jaw is pulled far down and the mouth is stretched.",
    ),
    FacsRow("AD29", "jaw thrust", "pterygoids", "The jaw is pushed forward."),
    FacsRow(
        "AD30",
        "jaw sideways",
        "pterygoids, temporalis",
        "The jaw is shifted to one side.",
        "The jaw is shifted to the {side}.",
    ),
    FacsRow(
        "AU31",
        "jaw clencher",
        "masseter",
        "The teeth are clenched and the corners of the jaw bulge.",
        "The {side} corner of the jaw bulges over clenched teeth.",
    ),
)

HEAD_AND_GAZE: Final = (
    FacsRow("AU51", "head turn left", "muscles of the neck", "The head is turned to the left."),
    FacsRow("AU52", "head turn right", "muscles of the neck", "The head is turned to the right."),
    FacsRow("AU53", "head up", "muscles of the neck", "The head is raised."),
    FacsRow("AU54", "head down", "muscles of the neck", "The head is lowered."),
    FacsRow("AU55", "head tilt left", "muscles of the neck", "The head is tilted toward the left shoulder."),
    FacsRow(
        "AU56", "head tilt right", "muscles of the neck", "The head is tilted toward the right shoulder."
    ),
    FacsRow("AU57", "head forward", "muscles of the neck", "The head is pushed forward."),
    FacsRow("AU58", "head back", "muscles of the neck", "The head is drawn back."),
    FacsRow("AU59", "head nod", "muscles of the neck", "The head moves up and down."),
    FacsRow("AU60", "head shake", "muscles of the neck", "The head moves from side to side."),
    FacsRow("AU61", "eyes turn left", "extraocular muscles", "The eyes look to the left."),
    FacsRow("AU62", "eyes turn right", "extraocular muscles", "The eyes look to the right."),
    FacsRow("AU63", "eyes up", "extraocular muscles", "The eyes look up."),
    FacsRow("AU64", "eyes down", "extraocular muscles", "The eyes look down."),
)

FACS_ROWS: Final = BROWS_AND_EYES + NOSE_AND_CHEEKS + MOUTH + CHIN_JAW_AND_NECK + HEAD_AND_GAZE

# Codes whose direction is part of the number: a mirrored image turns the one into the other.
MIRRORED_DIRECTIONS: Final = {
    "AU51": "AU52",
    "AU52": "AU51",
    "AU55": "AU56",
    "AU56": "AU55",
    "AU61": "AU62",
    "AU62": "AU61",
}
