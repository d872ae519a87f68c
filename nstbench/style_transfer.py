"""Style transfer as a class, for notebooks and scripts: two pictures in, every step's picture out.

    from nstbench import NeuralStyleTransfer

    images = NeuralStyleTransfer("style.jpg", "content.jpg").fit_style_transfer()
    images[-1].save("result.png")
    images[0].save("way.gif", save_all=True, append_images=images[1::10])

The interface, the choice of layers and the constants are those of a published class of this name;
what happens underneath is the benchmark's own core: its networks, objective, optimizer and engine.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from PIL import Image

from nstbench import engine as engines
from nstbench import networks
from nstbench.errors import SettingsError
from nstbench.networks import Extractor, Progress
from nstbench.optimizers import find, minimise, schedules
from nstbench.pictures import images as pictures
from nstbench.run.progress import Progress as Listener
from nstbench.settings import compose
from nstbench.settings.model import Settings
from nstbench.transfer import objective, terms

# The published class: pictures of at most 512 pixels, half the content weight, numbers for pixels
# 0..255; its optimizer, schedule and kinds of terms are those of this experiment.
EXPERIMENT = "style_transfer_class"
LONGER_SIDE = 512
CONTENT_FACTOR = 0.5
PIXEL_SCALE = 255.0


class NeuralStyleTransfer:
    """One content picture, one style picture, one network.

    `style_image` and `content_image` are whatever `images.load` reads: a built-in name, a path, an
    array, a Pillow image. Both are reduced until their longer side is `size` pixels. `extractor` is
    "vgg19", "vgg16", "alexnet", a model of `keras.applications` by name, or a Keras functional
    model with the weights that it has; `weights` is, for a name, "imagenet", "random" or a path.

    The style is taken from the first `n_style_layers` convolutions, the content from
    `n_content_layers` convolutions counted back from the second last. As in the published class,
    a convolution is a layer with "conv" in its name. `style_layers` and `content_layers` hold them.

    Raises `SettingsError` for a network or a number of layers that cannot be, `ImageError` for a
    picture, `WeightsError` where the weights cannot be had.
    """

    def __init__(
        self,
        style_image: pictures.Source,
        content_image: pictures.Source,
        extractor="inception_v3",
        n_style_layers: int = 5,
        n_content_layers: int = 5,
        *,
        weights: str = "imagenet",
        size: int = LONGER_SIDE,
        device: str = "auto",
        progress: Progress | None = None,
    ):
        self.style = pictures.load(style_image, size, keep_aspect=True).pixels
        self.content = pictures.load(content_image, size, keep_aspect=True).pixels
        self._engine = engines.load(device)
        with self._engine.scope():
            self.extractor = _extractor(extractor, weights, progress)
        convolutions = _convolutions(self.extractor)
        self.style_layers = _counted(convolutions, n_style_layers, "n_style_layers")
        from_second_last = convolutions[-2::-1]
        self.content_layers = _counted(from_second_last, n_content_layers, "n_content_layers")

    def fit_style_transfer(
        self,
        epochs: int = 10,
        learning_rate: float = 80.0,
        steps_per_epoch: int = 100,
        style_weight: float = 1e-2,
        content_weight: float = 1e4,
        show_image: bool = True,
        show_interval: int = 90,
        var_weight: float = 2,
        *,
        quiet: bool = False,
    ) -> list[Image.Image]:
        """Restyle the content with Adam; the picture after every step, the last one the result.

        The list has epochs * steps_per_epoch Pillow images (3 H W bytes each). `learning_rate` is
        for pixels 0..255 and falls to 0.8 of itself in every 100 steps. The loss is the sum over

            content layers   content_weight / 2 * mean((F - P)^2)
            style layers     style_weight * mean((G_F / M_F - G_A / M_A)^2)
            the picture      var_weight * (sum |dx| + sum |dy|), pixels 0..255

        With `show_image` a notebook shows the picture every `show_interval` steps, in one place. A
        bar on the terminal, or now and then a line in a log, says how far it is; not with `quiet`.

        Raises `SettingsError` where a number is not positive (the weights: not negative), and where
        one that counts is not whole.
        """
        steps = _whole(epochs=epochs) * _whole(steps_per_epoch=steps_per_epoch)
        _positive(learning_rate=learning_rate, show_interval=show_interval)
        _not_negative(
            style_weight=style_weight, content_weight=content_weight, var_weight=var_weight
        )
        with self._engine.scope():
            settings = compose.resolve([f"experiment={EXPERIMENT}"])
            problem = self._objective(settings, style_weight, content_weight, var_weight)
            optimizer = find.create(
                settings.optimizer,
                learning_rate / PIXEL_SCALE,
                schedules.build(settings.schedule, steps),
                self._engine,
            )
            descent = minimise.create(self._engine, problem, self.content, optimizer)
            show = _Display(show_image, show_interval)
            way = []
            with _progress(settings, steps, quiet) as tell:
                for step in range(steps):
                    (evaluation,) = descent.advance(1).steps
                    way.append(Image.fromarray(pictures.to_uint8(descent.image)))
                    show(step, way[-1])
                    tell(step + 1, evaluation.loss)
        return way

    def _objective(self, settings, style_weight, content_weight, var_weight) -> objective.Objective:
        changes = {
            "content": {"layers": self.content_layers, "weight": CONTENT_FACTOR * content_weight},
            "style": {"layers": self.style_layers, "weight": style_weight},
            "variation": {"weight": var_weight},
        }
        chosen = {
            name: terms.create(name, term | changes[name])
            for name, term in settings.objective.terms.items()
        }
        return objective.build(
            self.extractor, chosen, self.content, [(self.style, 1.0)], compile=self._engine.compile
        )


class _Display:
    """Shows pictures in a notebook, each in the place of the one before; elsewhere does nothing."""

    def __init__(self, wanted: bool, interval: int):
        self._interval = interval
        self._in_notebook = wanted and _in_notebook()
        self._place = None

    def __call__(self, step: int, image: Image.Image) -> None:
        if not self._in_notebook or step % self._interval:
            return
        if self._place is None:
            from IPython.display import display

            self._place = display(image, display_id=True)
        else:
            self._place.update(image)


@contextmanager
def _progress(settings: Settings, steps: int, quiet: bool) -> Iterator[Callable]:
    """What is told each step's number and loss, and shows them as a run's epochs are shown."""
    if quiet:
        yield lambda step, loss: None
        return
    start = time.monotonic()
    with Listener(settings.model_copy(update={"epochs": steps}), noun="step") as listener:
        listener.stage("compiling")

        def tell(step: int, loss: float) -> None:
            seconds = time.monotonic() - start
            row = {"epoch": step, "evaluations": step, "optimise_s": seconds, "loss": loss}
            listener.epoch(row)

        yield tell


def _in_notebook() -> bool:
    """Whether an IPython kernel runs this: then, and only then, IPython is imported already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def _extractor(chosen, weights: str, progress) -> Extractor:
    if not isinstance(chosen, str | Path):
        return networks.from_model(chosen)
    pooling = {"pooling": "max"} if chosen in ("vgg19", "vgg16") else {}
    return networks.build(str(chosen), None, pooling, weights=weights, progress=progress)


def _convolutions(extractor: Extractor) -> tuple[str, ...]:
    """Taps of the layers with "conv" in their name, from the image upwards."""
    return tuple(tap for tap in extractor.layers if "conv" in tap and not tap.endswith(".pre"))


def _counted(layers: Sequence[str], count: int, name: str) -> tuple[str, ...]:
    if not 1 <= count <= len(layers):
        raise SettingsError(f"{name}={count} must be from 1 to {len(layers)} in this network")
    return tuple(layers[:count])


def _whole(**values: int) -> int:
    """The one value. Raises `SettingsError` where it is no whole number of at least 1."""
    ((name, value),) = values.items()
    if not (isinstance(value, Integral) and not isinstance(value, bool) and value >= 1):
        raise SettingsError(f"{name}={value} must be a whole, positive number")
    return int(value)


def _positive(**values: float) -> None:
    """Raises `SettingsError` for a value that is not positive and finite."""
    for name, value in values.items():
        if not (isinstance(value, Real) and 0 < value < np.inf):
            raise SettingsError(f"{name}={value} must be a positive number")


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not (isinstance(value, Real) and 0 <= value < np.inf):
            raise SettingsError(f"{name}={value} must be a number and not negative")
