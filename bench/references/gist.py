"""GIST read off LMgist.m and imresize.m line by line: float64, no caching, no shortcut. Slow on purpose."""

from __future__ import annotations

import numpy as np


def imresize_rows(image: np.ndarray, n_out: int) -> np.ndarray:
    """MATLAB's imresize(image, [n_out NaN], "bilinear") along the first axis: (n_in, W) to (n_out, W)."""
    n_in = len(image)
    scale = n_out / n_in
    kernel_width = 2.0 / scale if scale < 1 else 2.0
    resized = np.zeros((n_out, image.shape[1]))
    for row in range(1, n_out + 1):
        centre = row / scale + 0.5 * (1 - 1 / scale)
        left = int(np.floor(centre - kernel_width / 2))
        total = 0.0
        for index in range(left, left + int(np.ceil(kernel_width)) + 2):
            distance = abs(centre - index)
            weight = scale * max(0.0, 1 - scale * distance) if scale < 1 else max(0.0, 1 - distance)
            mirrored = (index - 1) % (2 * n_in)
            source = mirrored if mirrored < n_in else 2 * n_in - 1 - mirrored
            resized[row - 1] += weight * image[source]
            total += weight
        resized[row - 1] /= total
    return resized


def square_grey(image: np.ndarray) -> np.ndarray:
    """imresizecrop(mean(img, 3), [256 256], "bilinear")."""
    grey = image.astype(np.float64).sum(axis=2) / 3
    height, width = grey.shape
    scaling = max(256 / height, 256 / width)
    n_rows, n_columns = int(np.floor(height * scaling + 0.5)), int(np.floor(width * scaling + 0.5))
    resized = imresize_rows(imresize_rows(grey, n_rows).T, n_columns).T
    top, left = (n_rows - 256) // 2, (n_columns - 256) // 2
    return resized[top : top + 256, left : left + 256]


def prefilt(image: np.ndarray) -> np.ndarray:
    """prefilt(img, 4)."""
    s1 = 4 / np.sqrt(np.log(2))
    padded = np.pad(np.log(image + 1), 5, mode="symmetric")
    n = padded.shape[0] + padded.shape[0] % 2
    fx, fy = np.meshgrid(np.arange(-n / 2, n / 2), np.arange(-n / 2, n / 2))
    gf = np.fft.fftshift(np.exp(-(fx**2 + fy**2) / s1**2))
    output = padded - np.real(np.fft.ifft2(np.fft.fft2(padded) * gf))
    local_std = np.sqrt(np.abs(np.fft.ifft2(np.fft.fft2(output**2) * gf)))
    return (output / (0.2 + local_std))[5:-5, 5:-5]


def create_gabor(n: int = 320) -> list[np.ndarray]:
    """createGabor([8 8 8 8], n)."""
    fx, fy = np.meshgrid(np.arange(-n / 2, n / 2), np.arange(-n / 2, n / 2))
    fr = np.fft.fftshift(np.sqrt(fx**2 + fy**2))
    angle = np.fft.fftshift(np.angle(fx + 1j * fy))
    filters = []
    for i in range(1, 5):
        for j in range(1, 9):
            p1, p2, p3, p4 = 0.35, 0.3 / 1.85 ** (i - 1), 16 * 8**2 / 32**2, np.pi / 8 * (j - 1)
            tr = angle + p4
            tr = tr + 2 * np.pi * (tr < -np.pi) - 2 * np.pi * (tr > np.pi)
            filters.append(np.exp(-10 * p1 * (fr / n / p2 - 1) ** 2 - 2 * p3 * np.pi * tr**2))
    return filters


def gist(image: np.ndarray, filters: list[np.ndarray]) -> np.ndarray:
    """The 512 values of an RGB image (H, W, 3); `filters` from `create_gabor`. NaN for a flat image."""
    square = square_grey(image)
    square = square - square.min()
    square = 255 * square / square.max()
    spectrum = np.fft.fft2(np.pad(prefilt(square), 32, mode="symmetric"))
    values = []
    for transfer in filters:
        response = np.abs(np.fft.ifft2(spectrum * transfer))[32:-32, 32:-32]
        for column in range(4):
            for row in range(4):
                values.append(response[64 * row : 64 * (row + 1), 64 * column : 64 * (column + 1)].mean())
    return np.array(values)
