"""Azure AI Language, 2025-11-01: texts together in one request, as many as each kind allows; long ones as a job."""

from __future__ import annotations

from typing import Any

from synml_dagster.services.azure.offer import Offer, optional

_VERSION = "2025-11-01"
_SCORES = "struct<positive:double,neutral:double,negative:double>"
_ENTITY = (
    "struct<text:string,category:string,subcategory:string,offset:int,length:int,confidenceScore:double>"
)
_LANGUAGE = optional("The texts' language, such as en.", "en")
_MODEL = optional("The model's version.", "latest")


def _together(
    name: str,
    kind: str,
    about: str,
    *,
    most: int,
    path: str,
    type_: str,
    ends: str | None = None,
    **parameters: Any,
) -> Offer:
    """An analysis that is answered at once. `most` is the documented number of documents of a request."""
    detects = kind == "LanguageDetection"
    told = {"modelVersion": "${model_version}"} | {key: f"${{{key}}}" for key in parameters}
    document = {"text": "{text}"} | ({} if detects else {"language": "${language}"})
    return Offer(
        name=f"azure.language.{name}", about=about, version=_VERSION, ends=ends, key="AZURE_LANGUAGE_KEY",
        parameters=({} if detects else {"language": _LANGUAGE}) | {"model_version": _MODEL} | parameters,
        service={
            "url": "${endpoint}/language/:analyze-text",
            "query": {"api-version": _VERSION},
            "body": {"kind": kind, "parameters": told, "analysisInput": {}},
            "documents": {
                "at": "analysisInput.documents", "each": document, "id": "id", "answers": "results.documents", "errors": "results.errors",
                "most": most,
            },
            "answer": {"path": path, "type": type_},
        },
    )  # fmt: skip


def _job(name: str, kind: str, about: str, path: str, type_: str, **parameters: Any) -> Offer:
    """An analysis that is submitted and polled, a document each."""
    told = {"modelVersion": "${model_version}"} | {key: f"${{{key}}}" for key in parameters}
    return Offer(
        name=f"azure.language.{name}", about=about, version=_VERSION, key="AZURE_LANGUAGE_KEY",
        parameters={"language": _LANGUAGE, "model_version": _MODEL} | parameters,
        service={
            "url": "${endpoint}/language/analyze-text/jobs",
            "query": {"api-version": _VERSION},
            "body": {
                "analysisInput": {"documents": [{"id": "1", "language": "${language}", "text": "{text}"}]},
                "tasks": [{"kind": kind, "parameters": told}],
            },
            "poll": {"header": "operation-location"},
            "answer": {
                "path": f"tasks.items[0].results.documents[0].{path}", "type": type_,
                "fails": [
                    {"path": "tasks.items[0].results.errors[0].error.message", "reason": "failed"},
                    {"path": "errors[0].message", "reason": "failed"},
                ],
            },
        },
    )  # fmt: skip


OFFERS = [
    _together(
        "sentiment", "SentimentAnalysis", "Sentiment of a text and of its sentences.", most=10, path="",
        type_=f"struct<sentiment:string,confidenceScores:{_SCORES},sentences:array<struct<sentiment:string,text:string,offset:int,length:int,confidenceScores:{_SCORES}>>>",
        opinionMining=optional("Whether opinions about parts of what is judged are looked for.", False),
    ),
    _together("key_phrases", "KeyPhraseExtraction", "What a text is about, in its words.", most=10, path="keyPhrases", type_="array<string>"),
    _together(
        "entities", "EntityRecognition", "People, places, times and quantities in a text.", most=5, path="entities", type_=f"array<{_ENTITY}>"
    ),
    _together(
        "pii", "PiiEntityRecognition", "Personal data in a text, and the text without it.", most=5, path="",
        type_=f"struct<redactedText:string,entities:array<{_ENTITY}>>", domain=optional("phi for health data, else none.", "none"),
    ),
    _together(
        "detect", "LanguageDetection", "The language that a text is written in.", most=1000, path="detectedLanguage",
        type_="struct<name:string,iso6391Name:string,confidenceScore:double>",
    ),
    _together(
        "entity_linking", "EntityLinking", "Wikipedia's pages of what a text names.", most=5, path="entities", ends="2028-09-01",
        type_="array<struct<name:string,url:string,dataSource:string,matches:array<struct<text:string,offset:int,length:int,confidenceScore:double>>>>",
    ),
    _job(
        "health", "Healthcare", "Findings, medication and their relations in a clinical text.", "entities",
        "array<struct<text:string,category:string,offset:int,length:int,confidenceScore:double>>",
    ),
    _job(
        "extract_summary", "ExtractiveSummarization", "The sentences of a text that matter most.", "sentences",
        "array<struct<text:string,rankScore:double,offset:int,length:int>>", sentenceCount=optional("How many sentences.", 3),
    ),
    _job(
        "summarize", "AbstractiveSummarization", "A text in fewer words of the model's own.", "summaries", "array<struct<text:string>>",
        sentenceCount=optional("How many sentences.", 3),
    ),
]  # fmt: skip
