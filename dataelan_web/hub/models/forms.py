"""Forms of models and their prices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DateField, IntegerField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget, TextArea, TextInput

from ...fields import offered, trim
from ...models import NANO, Model, ModelType, Price, now
from ...router.parameters import REFUSABLE
from ...router.types import Task
from .browse import FREE, PRICED, UNKNOWN, Line
from .corrections import FACTS
from .parameters import refused_by
from .prices import BY_NAME, CLASSES, TOKENS
from .purpose import CAPABILITIES, ability_words

DECIMALS = 9
LARGEST_CONTEXT = 100_000_000
LAST_YEAR = 2999
MOST_VARIANTS = 50

# More than anybody asks for, in USD a unit: beyond it a point was forgotten, or a unit mistaken.
MOST = {TOKENS: Decimal(10_000), "character": Decimal("0.01")}
MOST_OF_OTHERS = Decimal(1_000)

# (type, task) as one choice: what people call it.
PURPOSES = {
    "TEXT/chat": "Text: answers in a conversation",
    "CODE/chat": "Code: answers in a conversation",
    "IMAGE/image": "Images",
    "VOICE/speech": "Speech from text",
    "VOICE/transcription": "Text from speech",
    "VOICE/chat": "Conversation in sound",
    "VIDEO/video": "Video",
    "TEXT/embedding": "Embeddings",
    "TEXT/rerank": "Ranking of texts",
    "TEXT/moderation": "Moderation",
}


class Ticks(SelectMultipleField):
    """A list of boxes to tick."""

    option_widget = CheckboxInput()
    widget = ListWidget(prefix_label=False)


class PriceField(StringField):
    """USD a unit; `nano` is it in nano-USD, None for an empty field. What was typed stays in the field."""

    widget = TextInput()

    def __init__(self, label: str, validators: Any = None, unit: str = TOKENS, **options: Any):
        super().__init__(label, validators or [Optional()], **options)
        self.unit = unit
        self.nano: int | None = None

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data, self.nano = (valuelist[0].strip() if valuelist else ""), None
        if self.data:
            self.nano = nano_of(self.data, self.unit)


def nano_of(text: str, unit: str) -> int:
    """Nano-USD for an amount in USD as a person types it. Raises ValueError with words for that person."""
    text = text.removeprefix("$").strip()
    if re.fullmatch(r"-[\d.,]+", text):
        raise ValueError("A price cannot be negative.")
    if not re.fullmatch(r"[0-9]{0,40}(\.[0-9]{0,40})?", text) or not re.search(r"\d", text):
        raise ValueError("Enter an amount in USD with a point for decimals, such as 2.50.")
    usd, most = Decimal(text), MOST.get(unit, MOST_OF_OTHERS)
    if usd > most:
        raise ValueError(f"${most:,f} per {unit} is the most that makes sense. Is a point missing?")
    decimals = -min(int(usd.normalize().as_tuple().exponent), 0)
    if decimals > DECIMALS:
        raise ValueError(f"Nine decimals at most: a billionth of a dollar is the smallest amount. This has {decimals}.")
    return int(usd * NANO)


class VariantsField(StringField):
    """A line for each: what is asked for, and USD. `nano` is [(words, nano-USD)]."""

    widget = TextArea()

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.nano: list[tuple[tuple[str, ...], int]] = []

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data, self.nano = (valuelist[0] if valuelist else ""), []
        lines = [line.lower().split() for line in self.data.splitlines() if line.strip()]
        if len(lines) > MOST_VARIANTS:
            raise ValueError(f"At most {MOST_VARIANTS} lines.")
        for *words, amount in lines:
            if not words:
                raise ValueError(f"“{amount}” says no size or quality. Write, for example: 1024x1792 hd 0.08")
            self.nano.append((tuple(words), nano_of(amount, "image")))

    def fill(self, price: Price) -> None:
        names = ("per_image", "per_second")
        lines = [
            f"{' '.join(one['when'])} {Decimal(next(filter(None, map(one.get, names)), 0)) / NANO:f}"
            for one in price.variants
        ]
        self.data = "\n".join(lines)


class PriceClasses(FlaskForm):
    """A field for each class of prices, named price_<class>."""

    state = RadioField("Price", choices=offered([(PRICED, "Priced"), (FREE, "Free")]), default=PRICED)

    @property
    def values(self) -> dict[str, int | None] | None:
        """{class: nano-USD}; None: unknown."""
        if self.state.data == UNKNOWN:
            return None
        if self.state.data == FREE:
            return {"input": 0, "output": 0}
        return {name: self[f"price_{name}"].nano for name in self.names}

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that count."""
        return tuple(BY_NAME)

    def classes(self, task: str) -> tuple[list[Any], list[Any]]:
        """(fields that matter to this task, the others)"""
        first = USUAL[Task(task)]
        fields = [self[f"price_{one.name}"] for one in CLASSES]
        return [f for f in fields if f.short_name[6:] in first], [f for f in fields if f.short_name[6:] not in first]

    def check_prices(self, task: str) -> bool:
        """A text model without an output price would be priced too low by an oversight."""
        if self.state.data != PRICED:
            return True
        missing = [name for name in NEEDED.get(Task(task), ()) if self[f"price_{name}"].nano is None]
        for name in missing:
            self[f"price_{name}"].errors = ["Enter what it costs, or 0."]
        if not missing and all(self[f"price_{name}"].nano is None for name in BY_NAME):
            self.form_errors.append("Enter at least one price, or choose Free.")
            return False
        return not missing


for one in CLASSES:
    setattr(PriceClasses, f"price_{one.name}", PriceField(one.label, unit=one.unit))

VARIED = {Task.IMAGE: "per_image", Task.VIDEO: "per_second"}
"""What may cost more by size, quality or resolution."""
NEEDED = {Task.CHAT: ("input", "output"), Task.EMBEDDING: ("input",)}
USUAL: dict[Task, tuple[str, ...]] = {
    Task.CHAT: ("input", "cache_read", "cache_write", "cache_write_1h", "output"),
    Task.IMAGE: ("per_image", "input", "input_image", "output", "output_image"),
    Task.SPEECH: ("per_character", "input", "output", "output_audio"),
    Task.TRANSCRIPTION: ("per_second", "input", "input_audio", "output"),
    Task.VIDEO: ("per_second", "per_request", "input", "output"),
    Task.EMBEDDING: ("input",),
    Task.RERANK: ("per_request", "input"),
    Task.MODERATION: ("input", "per_request"),
}


class OverrideForm(PriceClasses):
    """A price of the organization's own."""

    starts_on = DateField("From", [Optional()])
    other_prices = VariantsField("Other prices, by size, quality or resolution")

    def validate_starts_on(self, field: Any) -> None:
        if field.data and field.data < now().date():
            raise ValidationError("What was charged before stays as it was: today or a later day.")
        if field.data and field.data.year > LAST_YEAR:
            raise ValidationError("Too far in the future.")

    def check_prices(self, task: str) -> bool:
        """What is not among the variants needs a price too."""
        unit = VARIED.get(Task(task))
        if self.other_prices.nano and self.state.data == PRICED and unit and self[f"price_{unit}"].nano is None:
            self[f"price_{unit}"].errors = ["Enter what all others cost."]
            return False
        return super().check_prices(task)

    def variants(self, task: str) -> list[dict[str, Any]]:
        """As a price keeps them."""
        unit = VARIED.get(Task(task))
        if not unit or self.state.data != PRICED:
            return []
        return [{"when": list(words), unit: nano} for words, nano in self.other_prices.nano]

    @property
    def starts_at(self) -> datetime | None:
        """Midnight in UTC; None: now, also for today."""
        day = self.starts_on.data
        return datetime.combine(day, time(), UTC) if day and day > now().date() else None

    def fill(self, price: Price | None) -> None:
        """With the price in force, to change from."""
        for name in BY_NAME if price else ():
            nano = getattr(price, name)
            if nano or (nano is not None and name in ("input", "output")):
                self[f"price_{name}"].data = f"{(Decimal(nano) / NANO).normalize():f}"
        if price:
            self.other_prices.fill(price)


class SizesForm(FlaskForm):
    """What a model holds, and can do."""

    context_window = IntegerField(
        "Context window", [Optional(), NumberRange(1, LARGEST_CONTEXT, f"From 1 to {LARGEST_CONTEXT:,} tokens.")]
    )
    max_output_tokens = IntegerField(
        "Longest answer", [Optional(), NumberRange(1, LARGEST_CONTEXT, f"From 1 to {LARGEST_CONTEXT:,} tokens.")]
    )
    capabilities = Ticks("Can", choices=offered((name, ability_words(name, starts=True)) for name in CAPABILITIES))

    @property
    def sizes(self) -> dict[str, Any]:
        """corrections.FACTS."""
        return {name: self[name].data for name in FACTS}

    @classmethod
    def of_line(cls, line: Line) -> SizesForm:
        """With what holds here, to change from."""
        return cls(formdata=None, data={name: getattr(line, name) for name in FACTS})


class FactsForm(SizesForm):
    """And what it is for, and does not take."""

    purpose = SelectField("What it makes", choices=offered(PURPOSES.items()), default="TEXT/chat")
    refuses = Ticks("Does not take", choices=offered((name, words.capitalize()) for name, words in REFUSABLE.items()))

    @classmethod
    def of(cls, model: Model) -> FactsForm:
        """With what is known of it, to change from."""
        known = {name: getattr(model, name) for name in FACTS}
        purpose = f"{model.model_type.value}/{model.task}"
        return cls(formdata=None, data=known | {"purpose": purpose, "refuses": refused_by(model)})

    @property
    def task(self) -> str:
        return self.purpose.data.partition("/")[2] if self.purpose.data in PURPOSES else Task.CHAT.value

    @property
    def facts(self) -> dict[str, Any]:
        """The columns of Model."""
        return {
            "model_type": ModelType(str(self.purpose.data).partition("/")[0]),
            "task": self.task,
            **self.sizes,
            "refuses": self.refuses.data,
        }


class ModelForm(PriceClasses, FactsForm):
    """A model typed in by hand."""

    state = RadioField(
        "Price", choices=offered([(UNKNOWN, "Not known yet"), (FREE, "Free"), (PRICED, "Priced")]), default=UNKNOWN
    )
    provider_id = SelectField("Provider", coerce=str)
    name = StringField(
        "Name at the provider", [DataRequired("Enter the name that requests carry."), Length(max=200)], filters=[trim]
    )
    display_name = StringField("Name to show", [Length(max=200)], filters=[trim])

    def validate_name(self, field: Any) -> None:
        if re.search(r"[\x00-\x20\x7f]", field.data):
            raise ValidationError("A model’s name has no spaces.")

    @property
    def names(self) -> tuple[str, ...]:
        """Only those of its task: the others are hidden in the form, whatever was typed there before."""
        return USUAL[Task(self.task)]

    @property
    def fields(self) -> list[tuple[Any, list[str]]]:
        """(field of a class of prices, the tasks that have it)"""
        by_name = {name: [task.value for task, names in USUAL.items() if name in names] for name in BY_NAME}
        return [(self[f"price_{name}"], tasks) for name, tasks in by_name.items() if tasks]

    @property
    def model_values(self) -> dict[str, Any]:
        """The columns of Model, and `price`."""
        name = str(self.name.data)
        return {
            "name": name,
            "display_name": self.display_name.data or name,
            **self.facts,
            "refuses": self.refuses.data or None,
            "price": self.values,
        }
