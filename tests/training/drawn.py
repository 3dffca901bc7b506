"""A small recipe for the drawn data sets."""

from __future__ import annotations

from training.drawn import lesion, write

__all__ = ["RECIPE", "lesion", "write"]

RECIPE = """
name: drawn
version: 0.0.1
licence: Apache-2.0
intended_use: tests
classifier: {name: mobilenetv2_050, head: linear}
outputs: [akiec, bcc, bkl, df, mel, nv, vasc]
activation: softmax
class_map: {akiec: [akiec], bcc: [bcc], bkl: [bkl], df: [df], mel: [mel], nv: [nv], vasc: [vasc]}
input: {size: 64}
cache_size: 64
storage: int8
preprocessing: [{step: hair}]
views: [identity, hvflip, rot180]
seeds: [1, 2]
split: {test_share: 0.34, folds: 2}
data:
  crops: ham10000_224
  crop_share: 0.2
  partial: isic2017
  partial_share: 0.2
  unseen: isic2020
schedule: {augmentation: {mixup: 0.4, cutmix: 1}, stages: [{size: 64, epochs: 1, images: 16}]}
segmenter:
  architecture: {name: "unet:resnet18", decoder_channels: [16, 16, 8, 8, 8]}
  input: {size: 64}
  extra: isic2018_task1
  held_out: 0.5
  schedule: {stages: [{size: 64, epochs: 1, images: 16}]}
"""
