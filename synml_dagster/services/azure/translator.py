"""Azure Translator, 2026-06-06: texts together, by the classic engine or by a model of the resource."""

from __future__ import annotations

from synml_dagster.services.azure.offer import Offer, optional, required

_VERSION = "2026-06-06"

OFFERS = [
    Offer(
        name="azure.translator.translate", about="A text in another language.", version=_VERSION, key="AZURE_TRANSLATOR_KEY",
        parameters={
            "to": required("The language to translate to, such as de."),
            "from_language": optional("The texts' language; found by the service where absent."),
            "text_type": optional("Plain or Html, whose tags are kept.", "Plain"),
            "model": optional("A deployed model, such as gpt-4o-mini; the classic engine where absent."),
            "tone": optional("formal, informal or neutral; of models alone."),
            "gender": optional("male, female or neutral; of models alone."),
            "region": optional("The resource's region, where its key wants to be told."),
        },
        service={
            "url": "${endpoint}/translate",
            "query": {"api-version": _VERSION},
            "headers": {"Ocp-Apim-Subscription-Region": "${region}"},
            "body": {},
            # 50,000 characters a request; a character has up to four bytes.
            "documents": {
                "at": "inputs", "answers": "value", "most": 100, "most_bytes": 48_000,
                "each": {
                    "text": "{text}", "language": "${from_language}", "textType": "${text_type}",
                    "targets": [{"language": "${to}", "deploymentName": "${model}", "tone": "${tone}", "gender": "${gender}"}],
                },
            },
            "answer": {"path": "translations[0].text"},
        },
    ),
    Offer(
        name="azure.translator.transliterate", about="A text in another script.", version=_VERSION, key="AZURE_TRANSLATOR_KEY",
        parameters={
            "language": required("The texts' language, such as zh-Hans."),
            "from_script": required("Their script, such as Hans."),
            "to_script": required("The script to write them in, such as Latn."),
            "region": optional("The resource's region, where its key wants to be told."),
        },
        service={
            "url": "${endpoint}/transliterate",
            "query": {"api-version": _VERSION, "language": "${language}", "fromScript": "${from_script}", "toScript": "${to_script}"},
            "headers": {"Ocp-Apim-Subscription-Region": "${region}"},
            "body": {},
            "documents": {"at": "inputs", "answers": "value", "most": 10, "most_bytes": 5_000, "each": {"text": "{text}"}},
            "answer": {"path": "text"},
        },
    ),
]  # fmt: skip
