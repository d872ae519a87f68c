"""The end of a run: the picture measured, saved, and put on record."""

import math

import numpy as np

from nstbench.errors import WeightsError
from nstbench.optimizers.contract import Evaluation
from nstbench.run import provenance, recipe, schema
from nstbench.run.quality import quality
from nstbench.run.record import save_picture
from nstbench.run.schema import Status
from nstbench.run.session import Session
from nstbench.settings import compose


def publish(session: Session) -> None:
    """Measure the picture, save it, and write the record; final unless the run was interrupted."""
    session.listener.stage("measuring")
    with session.clocks.measure("measure"), session.engine.scope():
        pixels, end = session.minimisation.image, session.minimisation.evaluate()
        shown = session.shown(pixels)
        results = {
            "final": _final(session, end),
            "quality": quality(shown, session.shown(session.problem.content.pixels)),
            "reference": _reference(session, pixels, end),
        }
    with session.clocks.measure("io"):
        if np.isfinite(pixels).all():
            facts = provenance.of_problem(session.settings, session.problem)
            text = recipe.as_text(recipe.of(session.settings, facts))
            save_picture(session.directory.picture_path(), shown, text)
    if session.status == Status.RUNNING:
        session.status = Status.COMPLETED
    session.directory.write_record(session.record(**results))
    if session.status.is_final:
        session.directory.clear_checkpoint()


def _final(session: Session, end: Evaluation) -> schema.Final:
    counters = session.counters
    return schema.Final(
        epochs=counters.epoch,
        steps=end.step - len(counters.pending_steps),
        evaluations=counters.evaluations,
        loss=_finite(end.loss),
        loss_best=_finite(min(counters.best, end.loss)),
        terms={name: _finite(end.terms[name]) for name in session.terms},
    )


def _reference(session: Session, pixels: np.ndarray, end: Evaluation) -> schema.Reference | None:
    """The picture under the default objective: its last evaluation, if that is the run's."""
    settings = compose.reference(session.settings)
    if settings == session.settings:
        return _as_reference(end.terms)
    engine = session.engine
    try:
        measure = session.setup.reference(settings, session.problem, engine)
    except WeightsError:
        return None
    values = measure.terms(pixels[None].astype(engine.dtype), measure.parameters)
    return _as_reference({n: float(v[0]) for n, v in engine.to_numpy(values).items()})


def _as_reference(terms: dict[str, float]) -> schema.Reference:
    finite = {name: _finite(value) for name, value in terms.items()}
    loss = math.fsum(terms.values()) if all(map(math.isfinite, terms.values())) else math.nan
    return schema.Reference(loss=_finite(loss), terms=finite)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
