"""One long-lived Spark session that does what it is told.

In: a JSON object a line on stdin; its field `do` names one of the verbs below. Out: a JSON object a line on stdout, with
`error` in it where Spark refused or failed. What Spark itself prints goes to stderr. Ends with its input.
"""

import glob
import json
import os
import signal
import sys
import time

from pyspark.sql import SparkSession

# Rows as Spark's own to_json prints them, nulls included: bytes in base64, times in UTC.
AS_JSON = "to_json(struct(*), map('ignoreNullFields', 'false')) AS row"


def session(jars, threads):
    builder = SparkSession.builder.master(f"local[{threads}]").appName("klamm-testkit")
    settings = {
        "spark.driver.extraClassPath": ":".join(sorted(glob.glob(f"{jars}/*.jar"))),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": os.environ.get("KLAMM_SPARK_HEAP", "1g"),
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.log.level": "OFF" if "KLAMM_SPARK_LOG" not in os.environ else os.environ["KLAMM_SPARK_LOG"],
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


class Driver:
    def __init__(self, spark):
        self.spark = spark
        self.queries = {}
        self.jvm = spark._jvm.java.lang.ProcessHandle.current().pid()

    def hello(self, _):
        return {"version": self.spark.version, "jvm": self.jvm}

    def source(self, options):
        return self.spark.read.format("kafka").options(**options).load()

    def read(self, ask):
        """A batch read: all its rows."""
        rows = self.source(ask["options"]).selectExpr(AS_JSON).collect()
        return {"rows": [json.loads(row.row) for row in rows]}

    def sum(self, ask):
        """A batch read: the number of rows and the sum of the values' lengths."""
        row = self.source(ask["options"]).selectExpr("count(*) AS n", "sum(length(value)) AS s").collect()[0]
        return {"rows": row.n, "bytes": row.s}

    def copy(self, ask):
        """A batch read, written to a topic."""
        rows = self.source(ask["options"])
        rows.select("key", "value", "partition").write.format("kafka").options(**ask["sink"]).save()
        return {}

    def start(self, ask):
        """Starts a streaming query: into files of `out`, one a batch, or into Kafka as `sink` says."""
        rows = self.spark.readStream.format("kafka").options(**ask["options"]).load()
        if "sink" in ask:
            rows = rows.select("key", "value", "partition")
            writer = rows.writeStream.format("kafka").options(**ask["sink"])
        else:
            writer = rows.writeStream.foreachBatch(Files(ask, self.jvm))
        writer = writer.option("checkpointLocation", ask["checkpoint"])
        trigger = ask.get("trigger")
        if trigger == "available-now":
            writer = writer.trigger(availableNow=True)
        elif trigger == "once":
            writer = writer.trigger(once=True)
        elif trigger:
            writer = writer.trigger(processingTime=trigger)
        self.queries[ask["name"]] = writer.start()
        return {}

    def finish(self, ask):
        """Waits for the end of a query, at most for `seconds`."""
        query = self.queries[ask["name"]]
        ended = query.awaitTermination(ask.get("seconds", 60))
        return {"ended": ended}

    def stop(self, ask):
        """Stops a query, once it has nothing left to do where `drained` says so."""
        query = self.queries.pop(ask["name"])
        if ask.get("drained"):
            query.processAllAvailable()
        query.stop()
        return {}

    def die(self, _):
        """Kills Spark as a crash would."""
        os.kill(self.jvm, signal.SIGKILL)
        return {}

    def answer(self, ask):
        try:
            return getattr(self, ask["do"])(ask)
        except Exception as error:  # whatever Spark throws is the answer
            return {"error": f"{type(error).__name__}: {error}"}


class Files:
    """Writes each batch into a file named after its number; a batch that comes again replaces its file."""

    def __init__(self, ask, jvm):
        self.folder = ask["out"]
        self.fail_at = ask.get("fail_at")
        self.die_at = ask.get("die_at")
        self.jvm = jvm
        os.makedirs(self.folder, exist_ok=True)

    def __call__(self, rows, batch):
        rows = [row.row for row in rows.selectExpr(AS_JSON).collect()]
        path = os.path.join(self.folder, f"batch-{batch:020}.jsonl")
        with open(path + ".partial", "w", encoding="utf-8") as file:
            file.writelines(row + "\n" for row in rows)
        os.rename(path + ".partial", path)
        if batch == self.die_at:
            os.kill(self.jvm, signal.SIGKILL)
            time.sleep(3600)
        if batch == self.fail_at:
            raise RuntimeError(f"batch {batch} was told to fail")


def main():
    # Nobody but the answers may use the real standard output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    driver = Driver(session(sys.argv[1], sys.argv[2]))
    for line in sys.stdin:
        answers.write(json.dumps(driver.answer(json.loads(line))) + "\n")
        answers.flush()


main()
