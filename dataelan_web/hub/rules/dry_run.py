"""“Which model would answer?”: a prompt that is planned as any other, and not sent."""

from __future__ import annotations

import random
from dataclasses import replace

from flask_wtf import FlaskForm
from wtforms import IntegerField, SelectField, SelectMultipleField, TextAreaField
from wtforms.validators import Length, NumberRange, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from ...executions.candidates import AUTO, last_rule, rules_for
from ...executions.execute import question_of
from ...extensions import db
from ...fields import offered
from ...models import ModelType, Origin, Project, User, new_id
from ...models.records import RunRecord
from ...router.plan import Plan, plan
from ...router.types import ImagePart, Message, Prompt, Task, TextPart
from ..models.purpose import CAPABILITIES, ability_words

TASKS = {
    ModelType.TEXT: Task.CHAT,
    ModelType.CODE: Task.CHAT,
    ModelType.IMAGE: Task.IMAGE,
    ModelType.VOICE: Task.SPEECH,
    ModelType.VIDEO: Task.VIDEO,
}
"""What a session of each type usually asks for."""
MOST_IMAGES, MOST_TOKENS = 100, 10_000_000
WHOLE = "A whole number from {} to {:,}."


def _bounded(number: int | None) -> int | None:
    """NumberRange makes a float of it, which 400 digits do not survive."""
    return max(min(number, 10**9), -1) if number is not None else None


class DryRunForm(FlaskForm):
    text = TextAreaField("Prompt", [Length(max=200_000, message="At most 200,000 characters.")])
    project_id = SelectField("Project", coerce=str)
    model_type = SelectField(
        "Type", choices=offered((one.value, one.value.capitalize()) for one in ModelType), default=ModelType.TEXT.value
    )
    max_tokens = IntegerField(
        "Longest answer", [Optional(), NumberRange(1, MOST_TOKENS, WHOLE.format(1, MOST_TOKENS))], filters=[_bounded]
    )
    images = IntegerField(
        "Pictures", [Optional(), NumberRange(0, MOST_IMAGES, WHOLE.format(0, MOST_IMAGES))], filters=[_bounded]
    )
    needs = SelectMultipleField(
        "Needs",
        choices=offered((name, ability_words(name)) for name in CAPABILITIES),
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
    )

    def prompt(self) -> Prompt:
        pictures = (ImagePart(media_type="image/png"),) * (self.images.data or 0)
        said = Message("user", (TextPart(self.text.data or ""), *pictures))
        task = TASKS[ModelType(self.model_type.data)]
        return Prompt(messages=(said,), max_tokens=self.max_tokens.data, task=task)


def plan_for(prompt: Prompt, model_type: ModelType, needs: frozenset[str], project: Project, user: User) -> Plan:
    """What would be called for this prompt of this person now. Sends and keeps nothing."""
    asked = RunRecord(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        project=project,
        user_id=user.id,
        token_id=None,
        origin=Origin.PLAYGROUND,
        model_type=model_type,
        requested=AUTO,
    )
    rules = rules_for(db.session, project, AUTO, model_type)
    rules.append(last_rule(db.session, project, model_type, prompt.task))
    question = question_of(asked, prompt, rules)
    return plan(replace(question, needs=question.needs | needs), rules, random.Random())
