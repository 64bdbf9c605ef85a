"""Names that Spark would ignore in silence: options of its own formats, and settings of its SQL engine.

    unknown_option("csv", "heder")          # "header": surely meant
    unknown_option("csv", "rescued")        # "": nobody knows
    unknown_option("csv", "header")         # None
    meant_format("parquett", ("rest",))     # "parquet"

A format takes options that stand here, those of Hadoop, which have a dot, and whatever else a platform brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from trunkline.config.tree import near

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FILES = """path paths basePath pathGlobFilter recursiveFileLookup modifiedBefore modifiedAfter ignoreCorruptFiles
ignoreMissingFiles mergeSchema maxRecordsPerFile partitionOverwriteMode fileNamePattern badRecordsPath rescuedDataColumn
readerCaseSensitive schemaEvolutionMode maxFilesPerTrigger maxBytesPerTrigger maxFileAge latestFirst fileNameOnly
cleanSource sourceArchiveDir maxCachedFiles discardCachedInputRatio checkpointLocation queryName retention
fileFormat"""
_TEXTUAL = """charset encoding compression columnNameOfCorruptRecord dateFormat timestampFormat timestampNTZFormat
timeFormat timeZone locale mode multiLine samplingRatio singleVariantColumn preferDate inferSchema
enableDateTimeParsingFallback"""
# Spark 4.3: `getAllOptions` of its CSVOptions, JSONOptions, XmlOptions, ParquetOptions, OrcOptions, TextOptions,
# AvroOptions and JDBCOptions; of the others, and of files in general, the pages of spark.apache.org/docs; and what
# Databricks adds (docs.databricks.com, DataFrameReader options).
NAMES: dict[str, frozenset[str]] = {
    name: frozenset(text.split())
    for name, text in {
        "csv": f"""{_FILES} {_TEXTUAL} charToEscapeQuoteEscaping codec columnPruning comment delimiter emptyValue
            enforceSchema escape escapeQuotes extension header ignoreLeadingWhiteSpace ignoreTrailingWhiteSpace
            inputBufferSize lineSep maxCharsPerColumn maxColumns nanValue negativeInf nullValue positiveInf quote
            quoteAll sep skipRows unescapedQuoteHandling""",
        "json": f"""{_FILES} {_TEXTUAL} allowBackslashEscapingAnyCharacter allowComments allowNonNumericNumbers
            allowNumericLeadingZeros allowSingleQuotes allowUnquotedControlChars allowUnquotedFieldNames
            dropFieldIfAllNull explodeEmbeddedArray ignoreNullFields inferTimestamp lineSep prefersDecimal pretty
            primitivesAsString sortKeys useUnsafeRow writeNonAsciiCharacterAsCodePoint""",
        "xml": f"""{_FILES} {_TEXTUAL} arrayElementName attributePrefix declaration excludeAttribute ignoreNamespace
            ignoreSurroundingSpaces indent nullValue prefersDecimal rootTag rowTag rowValidationXSDPath
            useLegacyXMLParser validateName valueTag wildcardColName""",
        "parquet": f"{_FILES} compression datetimeRebaseMode int96RebaseMode",
        "orc": f"{_FILES} compression",
        "text": f"{_FILES} compression encoding lineSep wholetext",
        "avro": f"""{_FILES} avroSchema avroSchemaUrl compression datetimeRebaseMode enableStableIdentifiersForUnionType
            ignoreExtension mode positionalFieldMatching recordName recordNamespace recursiveFieldMaxDepth
            stableIdentifierPrefixForUnionType""",
        "binaryFile": _FILES,
        "jdbc": """url dbtable query user password driver batchsize cascadeTruncate connectionProvider
            createTableColumnTypes createTableOptions customSchema customDataFrameColumnTypes fetchsize hint
            isolationLevel keytab lowerBound numPartitions partitionColumn preferTimestampNTZ preferTimestampNanos
            prepareQuery principal pushDownAggregate pushDownJoin pushDownLimit pushDownOffset pushDownPredicate
            pushDownTableSample queryTimeout refreshKrb5Config sessionInitStatement tableComment truncate
            upperBound""",
        "kafka": """assign subscribe subscribePattern startingTimestamp startingOffsets startingOffsetsByTimestamp
            startingOffsetsByTimestampStrategy endingTimestamp endingOffsets endingOffsetsByTimestamp failOnDataLoss
            fetchOffset.numRetries fetchOffset.retryIntervalMs maxOffsetsPerTrigger minOffsetsPerTrigger maxTriggerDelay
            minPartitions maxRecordsPerPartition groupIdPrefix includeHeaders topic checkpointLocation queryName
            asyncProgressTrackingEnabled asyncProgressTrackingCheckpointIntervalMs""",
        "rate": "rowsPerSecond rampUpTime numPartitions useManualClock",
        "rate-micro-batch": "rowsPerBatch numPartitions startTimestamp advanceMillisPerBatch",
        "console": """numRows truncate checkpointLocation queryName asyncProgressTrackingEnabled
            asyncProgressTrackingCheckpointIntervalMs""",
        "socket": "host port includeTimestamp",
    }.items()
}
# Names that people give to formats of their own, one letter away from one of these.
_OTHER_FORMATS = {"bson", "jsonl", "odbc", "psv", "test", "tsv"}
# Settings below these belong to catalogs and to libraries: Spark itself has no list of them.
_FOREIGN = ("spark.sql.catalog.", "spark.sql.iceberg.", "spark.sql.hive.", "spark.sql.gluten.")


def unknown_option(format_: str, name: str) -> str | None:
    """What was meant by an option that a format of Spark's does not have.

    Args:
        format_: Its name. Of one that is not here nobody knows the options.
        name: Of the option, in any case of letters, as Spark takes it.

    Returns:
        The option that was probably meant, an empty text where none is near; None where there is nothing to be said.
    """
    known = {one.lower(): one for group, names in NAMES.items() if group.lower() == format_.lower() for one in names}
    if not known or name.lower() in known or "." in name:
        return None
    # A driver of JDBC has properties of its own, of which none is known here: only a slip of the hand is told.
    meant = _slip(name.lower(), known) if format_.lower() == "jdbc" else near(name, list(known))
    return known[meant] if meant else None if format_.lower() == "jdbc" else ""


def meant_format(name: str, own: Iterable[str]) -> str | None:
    """The format that was probably meant by one that nobody knows; None where there is nothing to be said.

    A format may be anybody's: only a slip of the hand is told, and never of the name of a class.

    Args:
        name: As it stands in the file.
        own: The formats of ours.
    """
    known = {one.lower(): one for one in (*own, *NAMES, "delta", "iceberg")}
    if "." in name or name.lower() in known or name.lower() in _OTHER_FORMATS:
        return None
    meant = _slip(name.lower(), known)
    return known[meant] if meant else None


def unknown_settings(spark: SparkSession, conf: Iterable[str]) -> Iterator[str]:
    """Sentences about settings of Spark SQL that this session does not know, one slip away from one that it knows.

    Args:
        spark: The session.
        conf: Names of settings.
    """
    doubtful = [
        name
        for name in conf
        if name.startswith("spark.sql.") and not name.startswith(_FOREIGN) and not spark.conf.isModifiable(name)
    ]
    if not doubtful:
        return
    # Internal settings are not listed, so only a slip of the hand is told.
    known = {str(row[0]): "" for row in spark.sql("SET -v").collect()}
    for name in doubtful:
        if name not in known and (guess := _slip(name, known)):
            yield f"spark.conf.{name} is no setting that this Spark lists: did you mean {guess}?"


def _slip(name: str, known: Mapping[str, str]) -> str | None:
    """A known name that differs by one letter more, less or other, or by two that are exchanged."""
    return next((one for one in known if _one_apart(name, one)), None)


def _one_apart(a: str, b: str) -> bool:
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x, y = a[start:], b[start:]
    return x[1:] == y[1:] or x[1:] == y or x == y[1:] or (x[:2] == y[1::-1] and x[2:] == y[2:])
