"""The model side: preprocessing, segmentation, ensemble, gate, Grad-CAM, bundles, Celery tasks."""
