"""What Azure has turned off, by the names under which it was known, and what to use instead."""

RETIRED = {
    "anomaly": (
        "Anomaly Detector ended on 2026-10-01",
        "a model of your own: an isolation forest, or a pipeline of this package",
    ),
    "personalizer": ("Personalizer has ended", "a model of your own"),
    "metrics_advisor": ("Metrics Advisor has ended", "a model of your own, or Microsoft Fabric"),
    "bing": (
        "Bing Search has ended",
        "grounding with Bing in Azure AI agents, or another search service by a description of your own",
    ),
    "qna": ("QnA Maker has ended", "openai.chat with your documents in its prompt"),
    "luis": ("LUIS has ended", "azure.language, or openai.chat with a schema"),
    "translator.break_sentence": (
        "break-sentence is not part of Translator 2026-06-06",
        "azure.language.sentiment, which gives sentences",
    ),
    "translator.dictionary": (
        "dictionary look-up is not part of Translator 2026-06-06",
        "azure.translator.translate with a model",
    ),
    "vision.ocr": (
        "Computer Vision v1.0 to v3.1 ended on 2026-09-13",
        "azure.vision.read, or azure.document.read for pages",
    ),
    "vision.recognize_text": ("Computer Vision v1.0 to v3.1 ended on 2026-09-13", "azure.vision.read"),
    "vision.analyze": (
        "Computer Vision v1.0 to v3.1 ended on 2026-09-13",
        "azure.vision.caption, azure.vision.tags or azure.vision.objects",
    ),
    "vision.describe": ("Computer Vision v1.0 to v3.1 ended on 2026-09-13", "azure.vision.caption"),
    "vision.tag": ("Computer Vision v1.0 to v3.1 ended on 2026-09-13", "azure.vision.tags"),
    "vision.thumbnail": ("Computer Vision v1.0 to v3.1 ended on 2026-09-13", "a library for pictures"),
    "vision.celebrities": (
        "domain models of Computer Vision ended on 2026-09-13",
        "openai.chat with an image",
    ),
    "form_recognizer": (
        "Form Recognizer v2.0 ended on 2026-08-31, and v2.1 ends on 2027-09-15",
        "azure.document, which is Document Intelligence 4.0",
    ),
    "maps.point_in_polygon": (
        "Spatial of Azure Maps ended on 2025-09-30",
        "a geometry library, such as shapely",
    ),
    "language.text_analytics_v3": ("Text Analytics v3 has become Language", "azure.language"),
}
"""Name without `azure.` -> (what happened, what to use)."""

FORMER = {
    "OCR": "vision.ocr", "RecognizeText": "vision.recognize_text", "ReadImage": "vision.ocr", "AnalyzeImage": "vision.analyze",
    "DescribeImage": "vision.describe", "TagImage": "vision.tag", "GenerateThumbnails": "vision.thumbnail",
    "RecognizeDomainSpecificContent": "vision.celebrities", "DetectAnomalies": "anomaly", "DetectLastAnomaly": "anomaly",
    "SimpleDetectAnomalies": "anomaly", "SimpleFitMultivariateAnomaly": "anomaly", "DetectMultivariateAnomaly": "anomaly",
    "BingImageSearch": "bing", "CheckPointInPolygon": "maps.point_in_polygon", "BreakSentence": "translator.break_sentence",
    "DictionaryLookup": "translator.dictionary", "DictionaryExamples": "translator.dictionary", "AnalyzeLayout": "form_recognizer",
    "AnalyzeReceipts": "form_recognizer", "AnalyzeInvoices": "form_recognizer", "AnalyzeBusinessCards": "form_recognizer",
    "AnalyzeIDDocuments": "form_recognizer", "AnalyzeCustomModel": "form_recognizer",
}  # fmt: skip
"""Names of SynapseML's stages that call what is gone."""
