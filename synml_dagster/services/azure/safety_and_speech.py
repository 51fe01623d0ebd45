"""Content Safety, Speech by file, and Maps search."""

from __future__ import annotations

from synml_dagster.services.azure.offer import Offer, optional

_SAFETY = "2024-09-01"
_SEVERITY = "array<struct<category:string,severity:int>>"

OFFERS = [
    Offer(
        name="azure.safety.text", about="How hateful, violent, sexual or self-harming a text is.", version=_SAFETY, key="AZURE_CONTENT_SAFETY_KEY",
        parameters={"output_type": optional("FourSeverityLevels or EightSeverityLevels.", "FourSeverityLevels")},
        service={
            "url": "${endpoint}/contentsafety/text:analyze",
            "query": {"api-version": _SAFETY},
            "body": {"text": "{text}", "outputType": "${output_type}"},
            "answer": {"path": "categoriesAnalysis", "type": _SEVERITY},
        },
    ),
    Offer(
        name="azure.safety.image", about="How hateful, violent, sexual or self-harming a picture is.", version=_SAFETY, key="AZURE_CONTENT_SAFETY_KEY",
        parameters={},
        service={
            "url": "${endpoint}/contentsafety/image:analyze",
            "query": {"api-version": _SAFETY},
            "body": {"image": {"content": "{image}"}},
            "answer": {"path": "categoriesAnalysis", "type": _SEVERITY},
        },
    ),
    Offer(
        name="azure.speech.transcribe", about="What is said in an audio file.", version="2025-10-15", key="AZURE_SPEECH_KEY",
        parameters={"locale": optional("The locale of what is said.", "en-US")},
        service={
            "url": "${endpoint}/speechtotext/transcriptions:transcribe",
            "query": {"api-version": "2025-10-15"},
            "multipart": [
                {"name": "audio", "bytes": "{audio}", "filename": "audio", "content_type": "application/octet-stream"},
                {"name": "definition", "json": {"locales": ["${locale}"]}},
            ],
            "answer": {"path": "combinedPhrases[0].text"},
        },
    ),
    Offer(
        name="azure.speech.speak", about="A text as audio. Its endpoint is https://<region>.tts.speech.microsoft.com.", version="v1", key="AZURE_SPEECH_KEY",
        parameters={
            "voice": optional("The voice.", "en-US-AvaMultilingualNeural"),
            "format": optional("The audio's format.", "riff-24khz-16bit-mono-pcm"),
        },
        service={
            "url": "${endpoint}/cognitiveservices/v1",
            "headers": {"X-Microsoft-OutputFormat": "${format}"},
            "xml": "<speak version='1.0' xml:lang='en-US'><voice name='${voice}'>{text}</voice></speak>",
            "content_type": "application/ssml+xml",
            "answer": {"type": "binary"},
        },
    ),
    Offer(
        name="azure.maps.geocode", about="Where an address is. Its endpoint is https://atlas.microsoft.com.", version="2023-06-01", key="AZURE_MAPS_KEY",
        parameters={"language": optional("The answers' language.", "en-US")},
        service={
            "url": "${endpoint}/geocode", "method": "GET",
            "query": {"api-version": "2023-06-01", "query": "{address}", "top": "1", "language": "${language}"},
            "answer": {"path": "features[0]"},
        },
    ),
]  # fmt: skip
