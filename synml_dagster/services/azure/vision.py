"""Pictures and pages: Vision 4.0, Document Intelligence 4.0, Content Understanding, Face."""

from __future__ import annotations

from typing import Any

from synml_dagster.services.azure.offer import Offer, optional, required

_DOCUMENT = "2024-11-30"
_BOX = "struct<x:double,y:double,w:double,h:double>"


def _image(name: str, about: str, features: str, path: str, type_: str) -> Offer:
    return Offer(
        name=f"azure.vision.{name}", about=about, version="2023-10-01", ends="2028-09-25", key="AZURE_VISION_KEY",
        parameters={"language": optional("The answers' language.", "en"), "model_version": optional("The model's version.", "latest")},
        service={
            "url": "${endpoint}/computervision/imageanalysis:analyze",
            "query": {"api-version": "2023-10-01", "features": features, "language": "${language}", "model-version": "${model_version}"},
            "bytes": "{image}",
            "content_type": "application/octet-stream",
            "answer": {"path": path, "type": type_},
        },
    )  # fmt: skip


def _document(
    name: str, about: str, prebuilt: str, path: str, type_: str = "string", **parameters: Any
) -> Offer:
    return Offer(
        name=f"azure.document.{name}", about=about, version=_DOCUMENT, key="AZURE_DOCUMENT_INTELLIGENCE_KEY",
        parameters={
            "pages": optional("Which pages, such as 1-3,5; all where absent."),
            "locale": optional("The documents' locale, such as en-US."),
            "format": optional("text or markdown.", "text"),
        } | parameters,
        service={
            "url": f"${{endpoint}}/documentintelligence/documentModels/{prebuilt}:analyze",
            "query": {
                "api-version": _DOCUMENT, "pages": "${pages}", "locale": "${locale}", "stringIndexType": "textElements",
                "outputContentFormat": "${format}",
            },
            "body": {"base64Source": "{document}"},
            "poll": {"header": "operation-location"},
            "answer": {"path": path, "type": type_},
        },
    )  # fmt: skip


OFFERS = [
    _image("caption", "What a picture shows, in a sentence.", "caption", "captionResult", "struct<text:string,confidence:double>"),
    _image("tags", "What a picture shows, in words.", "tags", "tagsResult.values", "array<struct<name:string,confidence:double>>"),
    _image(
        "objects", "Things in a picture, and where they are.", "objects", "objectsResult.values",
        f"array<struct<boundingBox:{_BOX},tags:array<struct<name:string,confidence:double>>>>",
    ),
    _image("people", "People in a picture, and where they are.", "people", "peopleResult.values", f"array<struct<boundingBox:{_BOX},confidence:double>>"),
    _image("read", "Printed and written text in a picture, line by line.", "read", "readResult.blocks[*].lines", "array<array<struct<text:string>>>"),
    _document("read", "The text of a document.", "prebuilt-read", "analyzeResult.content"),
    _document("layout", "Text, tables and marks of a document, as JSON.", "prebuilt-layout", "analyzeResult"),
    _document("invoice", "The fields of an invoice, as JSON.", "prebuilt-invoice", "analyzeResult.documents"),
    _document("receipt", "The fields of a receipt, as JSON.", "prebuilt-receipt", "analyzeResult.documents"),
    _document("id", "The fields of a passport or licence, as JSON.", "prebuilt-idDocument", "analyzeResult.documents"),
    _document("custom", "What a model of your own finds, as JSON.", "${model}", "analyzeResult", model=required("The model's id.")),
    Offer(
        name="azure.face.detect", about="Faces in a picture, and where they are. Needs Microsoft's approval.", version="v1.2", key="AZURE_FACE_KEY",
        parameters={"detection_model": optional("The model that finds faces.", "detection_03")},
        service={
            "url": "${endpoint}/face/v1.2/detect",
            "query": {"detectionModel": "${detection_model}", "returnFaceId": "false"},
            "bytes": "{image}", "content_type": "application/octet-stream",
            "answer": {"type": "array<struct<faceRectangle:struct<top:int,left:int,width:int,height:int>>>"},
        },
    ),
]  # fmt: skip
