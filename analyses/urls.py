"""The addresses of the pages. `home` stands outside the namespace: it is everybody's."""

from django.urls import include, path

from analyses.views import consent, detail, history, home, lesions, model, privacy, reviews, upload

pages = [
    path("dashboard/", home.dashboard, name="dashboard"),
    path("analyses/", history.history, name="list"),
    path("analyses/new/", upload.upload, name="upload"),
    path("analyses/<uuid:pk>/", detail.detail, name="detail"),
    path("analyses/<uuid:pk>/progress/", detail.progress, name="progress"),
    path("analyses/<uuid:pk>/heatmap.png", detail.heatmap, name="heatmap"),
    path("analyses/<uuid:pk>/preview.jpg", detail.preview, name="preview"),
    path("analyses/<uuid:pk>/photo.jpg", reviews.photo, name="photo"),
    path("analyses/<uuid:pk>/review/", reviews.review, name="review"),
    path("analyses/<uuid:pk>/reveal/", reviews.reveal, name="reveal"),
    path("analyses/<uuid:pk>/delete/", privacy.delete_analysis, name="delete"),
    path("lesions/<uuid:pk>/delete/", privacy.delete_lesion, name="delete_lesion"),
    path("privacy/", privacy.privacy, name="privacy"),
    path("privacy/export/", privacy.export, name="export_record"),
    path("privacy/consent/", consent.consent, name="consent"),
    path("privacy/erase/", privacy.erase, name="erase"),
    path("reviews/", reviews.worklist, name="worklist"),
    path("lesions/", lesions.lesions, name="lesions"),
    path("lesions/<uuid:pk>/", lesions.lesion, name="lesion"),
    path("model/", model.model, name="model"),
]

urlpatterns = [
    path("", home.home, name="home"),
    path("", include((pages, "analyses"))),
    path("styleguide/", model.styleguide, name="styleguide"),
    path("i18n/", include("django.conf.urls.i18n")),
]
