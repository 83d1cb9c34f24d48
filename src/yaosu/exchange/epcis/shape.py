"""The fields of the standard: which event has which, in the order of the XML schema, and how each is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Form = Literal[
    "text", "time", "epcs", "quantities", "place", "pairs", "sensors", "persistent", "ilmd", "error", "texts"
]

FORMS: Mapping[str, Form] = {
    "eventTime": "time",
    "recordTime": "time",
    "eventTimeZoneOffset": "text",
    "eventID": "text",
    "errorDeclaration": "error",
    "certificationInfo": "texts",
    "epcList": "epcs",
    "childEPCs": "epcs",
    "inputEPCList": "epcs",
    "outputEPCList": "epcs",
    "parentID": "text",
    "action": "text",
    "transformationID": "text",
    "bizStep": "text",
    "disposition": "text",
    "readPoint": "place",
    "bizLocation": "place",
    "bizTransactionList": "pairs",
    "sourceList": "pairs",
    "destinationList": "pairs",
    "quantityList": "quantities",
    "childQuantityList": "quantities",
    "inputQuantityList": "quantities",
    "outputQuantityList": "quantities",
    "sensorElementList": "sensors",
    "persistentDisposition": "persistent",
    "ilmd": "ilmd",
}
PAIRS: Mapping[str, str] = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}
"""Lists of typed values: name of the value, in JSON a key and in XML the element."""
PAIR_WORDS: Mapping[str, str] = {"bizTransactionList": "btt", "sourceList": "sdt", "destinationList": "sdt"}

_HEAD = ("eventTime", "recordTime", "eventTimeZoneOffset", "eventID", "errorDeclaration", "certificationInfo")
_STEP = ("bizStep", "disposition", "readPoint", "bizLocation")
_TAIL = ("sourceList", "destinationList", "sensorElementList", "persistentDisposition")

ORDER: Mapping[str, tuple[str, ...]] = {
    "ObjectEvent": (
        *_HEAD,
        "epcList",
        "action",
        *_STEP,
        "bizTransactionList",
        "quantityList",
        *_TAIL,
        "ilmd",
    ),
    "AggregationEvent": (
        *(*_HEAD, "parentID", "childEPCs", "action", *_STEP, "bizTransactionList", "childQuantityList"),
        *_TAIL,
    ),
    "TransactionEvent": (
        *(*_HEAD, "bizTransactionList", "parentID", "epcList", "action", *_STEP, "quantityList"),
        *_TAIL,
    ),
    "TransformationEvent": (
        *(
            *_HEAD,
            "inputEPCList",
            "inputQuantityList",
            "outputEPCList",
            "outputQuantityList",
            "transformationID",
        ),
        *(*_STEP, "bizTransactionList", *_TAIL, "ilmd"),
    ),
    "AssociationEvent": (
        *(*_HEAD, "parentID", "childEPCs", "childQuantityList", "action", *_STEP, "bizTransactionList"),
        *_TAIL,
    ),
}
"""Elements in the order of EPCglobal-epcis-2_0.xsd."""

METADATA = (
    *(
        "time",
        "startTime",
        "endTime",
        "deviceID",
        "deviceMetadata",
        "rawData",
        "dataProcessingMethod",
        "bizRules",
    ),
)
REPORT = (
    *("type", "exception", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "time"),
    *("microorganism", "chemicalSubstance", "value", "component", "stringValue", "booleanValue"),
    *("hexBinaryValue", "uriValue", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"),
    *("uom", "coordinateReferenceSystem", "bizRules"),
)
NUMBERS = frozenset(["value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"])
TIMES = frozenset(["time", "startTime", "endTime"])
EPC_FIELDS = ("epcList", "childEPCs", "inputEPCList", "outputEPCList", "parentID")
QUANTITY_FIELDS = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
