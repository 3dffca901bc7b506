"""The addresses of the analyses and lesions, below /api/v1/."""

from django.urls import path

from analyses.api import lesions, views

urlpatterns = [
    path("analyses/", views.AnalysisList.as_view(), name="api-analyses"),
    path("analyses/export.csv", views.AnalysisExport.as_view(), name="api-analyses-export"),
    path("analyses/<uuid:analysis_id>/", views.AnalysisDetail.as_view(), name="api-analysis"),
    path(
        "analyses/<uuid:analysis_id>/heatmap.png",
        views.AnalysisHeatmap.as_view(),
        name="api-analysis-heatmap",
    ),
    path("lesions/", lesions.LesionList.as_view(), name="api-lesions"),
    path("lesions/<uuid:lesion_id>/", lesions.LesionDetail.as_view(), name="api-lesion"),
]
