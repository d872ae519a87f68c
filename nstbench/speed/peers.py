"""The competitors: the same loss, gradient and Adam step, each written as its users write it.

All minimise the report's objective (`conf/objective/report.yaml`) on the same pictures with the
same weights; Adam's settings are those of `conf/optimizer/adam.yaml`. Nothing here is tuned beyond
what the name says, and nothing imports the backend of another.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """The problem without a framework. Pictures are `(H, W, 3)` float32 in [0, 1].

    `layers` maps a name to its kernel `(3, 3, C, K)` and bias `(K,)`; None leaves a package that
    brings its own weights with those.
    """

    content: np.ndarray
    style: np.ndarray
    start: np.ndarray
    layers: dict[str, tuple[np.ndarray, np.ndarray]] | None
    content_layer: str
    content_weight: float
    style_layers: tuple[str, ...]
    style_weight: float
    variation_weight: float
    adam: tuple[float, float, float, float]  # lr, beta_1, beta_2, epsilon
    accelerator: bool


@dataclass(frozen=True)
class Competitor:
    """Ready to be timed; every call returns when the device has finished.

    `evaluate(n)`: n losses and gradients; `step(n)`: n Adam steps; `check()`: loss and gradient
    `(H, W, 3)` at the start picture, in its units, before any step.
    """

    evaluate: Callable[[int], None]
    step: Callable[[int], None]
    check: Callable[[], tuple[float, np.ndarray]]


class Missing(Exception):
    """A competitor that cannot be had here, or no longer; the message says why."""


def nstbench(settings, engine) -> Competitor:
    """nstbench itself, through the engine, the objective and the optimizer that a run uses."""
    from keras import ops

    from nstbench.optimizers import find, minimise
    from nstbench.transfer import problem

    with engine.scope():
        loaded = problem.load(settings, engine)
        posed, start = loaded.objective, problem.start_image(settings, loaded.content.pixels)
        images = ops.convert_to_tensor(start[None])
        evaluation = engine.compile_evaluation(posed.terms, posed.parameters)
        adam = find.create(settings.optimizer, settings.lr, None, engine)
        descent = minimise.create(engine, posed, start, adam)

    def step(count):
        with engine.scope():
            descent.advance(count)
            engine.synchronise()

    def check():
        with engine.scope():
            values, gradient = engine.to_numpy(evaluation(images))
        return float(values.loss[0]), gradient[0]

    evaluate = repeated(lambda: evaluation(images), engine.synchronise, engine.scope)
    return Competitor(evaluate, step, check)


def _keras_features(task: Task):
    """Picture `(1, H, W, 3)` -> Gram matrices of the style layers, features of the content."""
    import keras
    import tensorflow as tf

    vgg = keras.applications.VGG19(include_top=False, weights=None)
    vgg.trainable = False
    for name, arrays in task.layers.items():
        vgg.get_layer(name).set_weights(arrays)
    taps = [*task.style_layers, task.content_layer]
    model = keras.Model(vgg.input, [vgg.get_layer(name).output for name in taps])

    def features(picture):
        *style, content = model(keras.applications.vgg19.preprocess_input(picture * 255.0))
        return [gram(each) for each in style], content

    def gram(x):
        positions = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
        return tf.linalg.einsum("bijc,bijd->bcd", x, x) / positions

    return features


def tutorial(task: Task) -> Competitor:
    """The loop of TensorFlow's tutorial "Neural style transfer": Keras's VGG19, GradientTape."""
    import keras
    import tensorflow as tf

    if task.accelerator and not tf.config.list_physical_devices("GPU"):
        raise Missing("this TensorFlow sees no GPU")
    features = _keras_features(task)
    style_targets = features(tf.constant(task.style[None]))[0]
    content_target = features(tf.constant(task.content[None]))[1]
    image = tf.Variable(task.start[None])
    rate, beta_1, beta_2, epsilon = task.adam
    optimizer = keras.optimizers.Adam(rate, beta_1, beta_2, epsilon)

    def loss_and_gradient():
        with tf.GradientTape() as tape:
            style, content = features(image)
            distances = [
                tf.reduce_mean((a - b) ** 2) for a, b in zip(style, style_targets, strict=True)
            ]
            loss = task.style_weight * tf.add_n(distances)
            loss += task.content_weight * tf.reduce_mean((content - content_target) ** 2)
            loss += task.variation_weight * tf.image.total_variation(image)[0]
        return loss, tape.gradient(loss, image)

    @tf.function
    def train_step():
        _, gradient = loss_and_gradient()
        optimizer.apply_gradients([(gradient, image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))

    evaluation = tf.function(loss_and_gradient)

    def check():
        loss, gradient = evaluation()
        return float(loss), gradient.numpy()[0]

    wait = tf.test.experimental.sync_devices
    return Competitor(repeated(evaluation, wait), repeated(train_step, wait), check)


def _torch_network(task: Task, torch, device, layout):
    """`picture(pixels)`, a tensor in the layout, and `features(picture)`, a dict of the taps."""
    functional = torch.nn.functional

    def tensor(array):
        moved = torch.from_numpy(np.ascontiguousarray(array)).to(device)
        return moved.contiguous(memory_format=layout) if moved.ndim == 4 else moved

    def picture(pixels):
        return tensor(pixels.transpose(2, 0, 1)[None])

    layers = {n: (tensor(k.transpose(3, 2, 0, 1)), tensor(b)) for n, (k, b) in task.layers.items()}
    mean = tensor(np.array([103.939, 116.779, 123.68], "float32")).view(1, 3, 1, 1)  # ImageNet, BGR
    taps = {*task.style_layers, task.content_layer}

    def features(x):
        x, found, block = 255.0 * x.flip(1) - mean, {}, "block1"
        for name, (kernel, bias) in layers.items():
            if not name.startswith(block):
                x, block = functional.max_pool2d(x, 2), name.partition("_")[0]
            x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            if name in taps:
                found[name] = x
            if len(found) == len(taps):
                return found

    return picture, features


def torch_loop(task: Task, channels_last: bool) -> Competitor:
    """A plain eager PyTorch loop with autograd and `torch.optim.Adam`, in either memory layout."""
    torch, device = _torch(task)
    functional = torch.nn.functional
    layout = torch.channels_last if channels_last else torch.contiguous_format

    picture, features = _torch_network(task, torch, device, layout)

    def gram(x):
        flat = x.reshape(x.shape[1], -1)
        return flat @ flat.T / flat.shape[1]

    with torch.no_grad():
        styled = features(picture(task.style))
        grams = {name: gram(styled[name]) for name in task.style_layers}
        content = features(picture(task.content))[task.content_layer]
    image = picture(task.start).requires_grad_(True)
    optimizer = torch.optim.Adam([image], task.adam[0], task.adam[1:3], task.adam[3])

    def evaluation():
        optimizer.zero_grad()
        found = features(image)
        loss = task.content_weight * functional.mse_loss(found[task.content_layer], content)
        for name, target in grams.items():
            loss = loss + task.style_weight * functional.mse_loss(gram(found[name]), target)
        across, down = image.diff(dim=3).abs().sum(), image.diff(dim=2).abs().sum()
        loss = loss + task.variation_weight * (across + down)
        loss.backward()
        return loss

    def train_step():
        evaluation()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0.0, 1.0)

    def check():
        return evaluation().item(), image.grad[0].permute(1, 2, 0).cpu().numpy()

    wait = torch.cuda.synchronize if task.accelerator else nothing
    return Competitor(repeated(evaluation, wait), repeated(train_step, wait), check)


def pastiche(task: Task) -> Competitor:
    """`pastiche` from the package index: its own `PasticheArtist`, the class behind its command.

    Pictures come from files, layers and weights of the loss through its options, so it minimises
    the same objective. Its own weights are VGG-19's rounded to 256 values per layer: where `task`
    has `layers` they take their place, which changes values and no operation. It works on 0..255,
    with Adam at its fixed rate of 1 and without clipping; its default L-BFGS also makes one
    evaluation a step. An evaluation alone is its `_calc_loss` and `backward`, the body of `draw`.
    """
    torch, device = _torch(task)
    try:
        from pastiche.pastiche import PasticheArtist
    except ImportError as error:
        raise Missing(f"not installed ({error}): pip install 'nstbench[speed]'") from None
    from nstbench.pictures import images

    rows, columns, _ = task.start.shape
    with tempfile.TemporaryDirectory() as folder:
        content, style = Path(folder) / "content.png", Path(folder) / "style.png"
        images.save(content, task.content)
        images.save(style, task.style)
        artist = PasticheArtist(
            str(content), [str(style)], optimizer="adam", device=device, size=rows,
            content_layers=[_relu(task.content_layer)], content_layer_weights=[task.content_weight],
            style_layers=[_relu(name) for name in task.style_layers],
            style_layer_weights=[task.style_weight],
            # Half of its weight times means over 3 rows (columns - 1) differences on 0..255.
            tv_weight=task.variation_weight * 2 * 3 * rows * (columns - 1) / 255,
        )  # fmt: skip
    if task.layers is not None:
        _give_weights(
            torch, artist, task.layers, _bgr(torch, task.content), _bgr(torch, task.style)
        )
    artist.pastiche.data.copy_(_bgr(torch, task.start))

    def evaluation():
        artist.optimizer.zero_grad()
        loss = artist._calc_loss()
        loss.backward()
        return loss

    def check():
        loss = evaluation().item()
        gradient = artist.pastiche.grad[0].flip(0).permute(1, 2, 0)
        return loss, 255 * gradient.cpu().numpy()

    wait = torch.cuda.synchronize if task.accelerator else nothing
    return Competitor(repeated(evaluation, wait), repeated(artist.draw, wait), check)


def _give_weights(torch, artist, layers, content, style) -> None:
    """Put `layers` in the place of the artist's weights, and make its targets anew."""
    for name, (kernel, bias) in layers.items():
        layer = getattr(artist.vgg19, name)
        layer.weight.data.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
        layer.bias.data.copy_(torch.from_numpy(bias))
    device = artist.pastiche.device
    artist.content_targets = artist.vgg19.forward(content.to(device), artist.content_layers)
    artist.style_targetss = [artist.vgg19.forward(style.to(device), artist.style_layers)]


def _bgr(torch, pixels: np.ndarray):
    """`(H, W, 3)` RGB in [0, 1] to `(1, 3, H, W)` BGR in 0..255 minus ImageNet's mean."""
    mean = np.array([103.939, 116.779, 123.68], "float32")
    planes = (255 * pixels[..., ::-1] - mean).transpose(2, 0, 1)[None]
    return torch.from_numpy(np.ascontiguousarray(planes))


def _relu(layer: str) -> str:
    return layer.replace("conv", "relu")


def _torch(task: Task) -> tuple[Any, str]:
    try:
        import torch
    except ImportError:
        raise Missing("PyTorch is not installed: pip install 'nstbench[speed]'") from None
    if task.accelerator and not torch.cuda.is_available():
        raise Missing("this PyTorch sees no GPU")
    torch.backends.cudnn.allow_tf32 = False  # float32 for all, as nstbench has it
    return torch, "cuda" if task.accelerator else "cpu"


def repeated(
    call: Callable[[], Any],
    wait: Callable[[], Any],
    scope: Callable[[], AbstractContextManager] = nullcontext,
) -> Callable[[int], None]:
    """A function of n that makes n calls within a `scope` and waits for the device after each.

    What a call returns may still be computed. It is held until then, for JAX waits for nothing that
    nobody holds, and would let calls that do not depend on each other overlap.
    """

    def calls(count: int) -> None:
        with scope():
            for _ in range(count):
                result = call()
                wait()
                del result

    return calls


def nothing() -> None:
    pass


# Those that need nothing of nstbench but the task.
OTHERS = {
    "tutorial": tutorial,
    "torch": lambda task: torch_loop(task, channels_last=False),
    "torch_cl": lambda task: torch_loop(task, channels_last=True),
    "pastiche": pastiche,
}
