"""The chat template of an exported model: image and frame where the run had them."""

from __future__ import annotations

import json
from typing import Final

from aullava.export.tokenizer import IMAGE_TOKEN
from aullava.text.layout import Frame
from aullava.text.question import Order

_READ: Final = """\
{%- set asked = namespace(text='', images=0) -%}
{%- for message in messages -%}
  {%- if message['role'] != 'user' or not loop.first -%}
    {{- raise_exception('This model answers one message of the user: an image and a question.') -}}
  {%- endif -%}
  {%- if message['content'] is string -%}
    {%- set asked.text = message['content'] -%}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'text' -%}
        {%- set asked.text = asked.text + part['text'] -%}
      {%- else -%}
        {%- set asked.images = asked.images + 1 -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{%- endfor -%}
{%- if asked.images > 1 -%}{{- raise_exception('This model looks at one image.') -}}{%- endif -%}
{%- set question = asked.text | replace(IMAGE, '') | trim -%}
"""
_WRITE: Final = {
    # The last line of a question says what the answer must look like.
    Order.DEFINITIONS_FIRST: """\
{%- set lines = question.split('\\n') -%}
{%- set subject = lines[:-1] | join('\\n') -%}
{{- FIRST + BEFORE + subject + '\\n' + IMAGE + '\\n' + lines[-1] + AFTER -}}
""",
    Order.IMAGE_FIRST: """\
{{- FIRST + BEFORE + IMAGE + '\\n' + question + AFTER -}}
""",
    Order.QUESTION_FIRST: """\
{{- FIRST + BEFORE + question + '\\n' + IMAGE + AFTER -}}
""",
}


def chat_template(order: Order, frame: Frame, first: str) -> str:
    """Jinja source; whatever the order in which a user sends image and text, it writes the run's.

    Args:
        order: where the image stands in the run's questions.
        frame: what stands around them.
        first: the token that begins every text; "" without one.
    """
    words = {"IMAGE": IMAGE_TOKEN, "FIRST": first, "BEFORE": frame.before, "AFTER": frame.after}
    named = "".join(f"{{%- set {name} = {json.dumps(text)} -%}}\n" for name, text in words.items())
    return named + _READ + _WRITE[order]
