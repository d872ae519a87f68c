"""How good a picture is, as numbers that do not depend on the run's own loss."""

import numpy as np

from nstbench.run import schema


def quality(picture: np.ndarray, content: np.ndarray) -> schema.Quality:
    """SSIM and PSNR of a picture against the content, both `(H, W, 3)` in [0, 1].

    Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004).
    """
    from skimage import metrics

    if not np.isfinite(picture).all():
        return schema.Quality(ssim=None, psnr=None)
    same = np.array_equal(picture, content)
    ssim = metrics.structural_similarity(content, picture, channel_axis=2, data_range=1.0)
    psnr = None if same else metrics.peak_signal_noise_ratio(content, picture, data_range=1.0)
    return schema.Quality(ssim=float(ssim), psnr=None if psnr is None else float(psnr))
