// Run by admin.py: Apache Kafka's Java admin client, and a consumer, which has fetch sessions.
// Prints a line a test.
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.serialization.*;

class AdminScenario {
    interface Body { void run() throws Exception; }

    static final String BROKER = System.getenv("BROKER");
    static Admin admin;

    static void test(String sentence, Body body) {
        try {
            body.run();
            System.out.println("ok " + sentence);
        } catch (Throwable e) {
            Throwable why = e instanceof ExecutionException ? e.getCause() : e;
            String said = String.valueOf(why).replace('\n', ' ');
            System.out.println("not ok " + sentence + ": " + said);
        }
    }

    static void check(boolean condition, Object said) {
        if (!condition)
            throw new IllegalStateException(String.valueOf(said));
    }

    static void fails(Class<?> wanted, Body body) throws Exception {
        try {
            body.run();
        } catch (ExecutionException e) {
            check(wanted.isInstance(e.getCause()), e.getCause());
            return;
        }
        check(false, "nothing failed with " + wanted);
    }

    static ConfigResource topic(String name) {
        return new ConfigResource(ConfigResource.Type.TOPIC, name);
    }

    static void alter(ConfigResource resource, String name, String value,
                      AlterConfigOp.OpType operation) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(name, value), operation);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    static ConfigEntry describe(ConfigResource resource, String name) throws Exception {
        var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        var described = admin.describeConfigs(List.of(resource), options).all().get();
        return described.get(resource).get(name);
    }

    static Properties settings(String... more) {
        var p = new Properties();
        p.put("bootstrap.servers", BROKER);
        p.put("client.id", "scenario");
        for (int i = 0; i < more.length; i += 2)
            p.put(more[i], more[i + 1]);
        return p;
    }

    static Producer<String, String> producer(String... more) {
        return new KafkaProducer<>(settings(more), new StringSerializer(), new StringSerializer());
    }

    static void configs() {
        var all = new ConfigResource(ConfigResource.Type.BROKER, "");
        var group = new ConfigResource(ConfigResource.Type.GROUP, "g");

        test("a topic is created with settings, and they are told", () -> {
            var wanted = new NewTopic("t", 2, (short) 1)
                .configs(Map.of("cleanup.policy", "compact", "max.message.bytes", "50000"));
            var told = admin.createTopics(List.of(wanted)).config("t").get();
            check(told.get("cleanup.policy").value().equals("compact"), told);
            check(told.get("retention.ms").isDefault(), told);
        });
        test("settings are changed one by one, and lists by elements", () -> {
            alter(topic("t"), "cleanup.policy", "delete", AlterConfigOp.OpType.APPEND);
            alter(topic("t"), "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
            alter(topic("t"), "retention.ms", "86400000", AlterConfigOp.OpType.SET);
            check(describe(topic("t"), "cleanup.policy").value().equals("delete"), "policy");
            var entry = describe(topic("t"), "retention.ms");
            check(entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry);
            check(entry.documentation().length() > 0 && entry.synonyms().size() == 2, entry);
            alter(topic("t"), "retention.ms", "", AlterConfigOp.OpType.DELETE);
            check(describe(topic("t"), "retention.ms").isDefault(), "a deleted setting");
        });
        test("what topics fall back to is set for all brokers", () -> {
            alter(all, "log.retention.bytes", "1000000", AlterConfigOp.OpType.SET);
            var entry = describe(topic("t"), "retention.bytes");
            check(entry.value().equals("1000000"), entry);
            alter(all, "log.retention.bytes", "", AlterConfigOp.OpType.DELETE);
        });
        test("settings that there are not, and values that they cannot have, are refused", () -> {
            fails(InvalidConfigurationException.class,
                  () -> alter(topic("t"), "no.such", "1", AlterConfigOp.OpType.SET));
            fails(InvalidConfigurationException.class,
                  () -> alter(topic("t"), "retention.ms", "x", AlterConfigOp.OpType.SET));
            fails(UnknownTopicOrPartitionException.class,
                  () -> alter(topic("u"), "retention.ms", "1", AlterConfigOp.OpType.SET));
        });
        test("groups have settings, and resources with settings are listed", () -> {
            alter(group, "consumer.session.timeout.ms", "50000", AlterConfigOp.OpType.SET);
            check(describe(group, "consumer.session.timeout.ms").value().equals("50000"), "group");
            var types = Set.of(ConfigResource.Type.GROUP, ConfigResource.Type.TOPIC);
            var listed = admin.listConfigResources(types, new ListConfigResourcesOptions())
                .all().get();
            check(new HashSet<>(listed).equals(Set.of(group, topic("t"))), listed);
        });
    }

    static void records() {
        var p0 = new TopicPartition("t", 0);

        test("a batch larger than its topic allows is refused", () -> {
            try (var producer = producer("batch.size", "1")) {
                fails(RecordTooLargeException.class, () ->
                    producer.send(new ProducerRecord<>("t", 0, "k", "x".repeat(60000))).get());
                for (int i = 0; i < 10; i++)
                    producer.send(new ProducerRecord<>("t", 0, "k", "v" + i)).get();
            }
        });
        test("LogAppendTime is the broker's, and compacted topics want keys", () -> {
            alter(topic("t"), "message.timestamp.type", "LogAppendTime", AlterConfigOp.OpType.SET);
            try (var producer = producer()) {
                var told = producer.send(new ProducerRecord<>("t", 1, 5L, "k", "v")).get();
                check(told.timestamp() > 1000000000000L, told.timestamp());
                alter(topic("t"), "cleanup.policy", "compact", AlterConfigOp.OpType.SET);
                fails(InvalidRecordException.class,
                      () -> producer.send(new ProducerRecord<>("t", 1, null, "v")).get());
                alter(topic("t"), "cleanup.policy", "delete", AlterConfigOp.OpType.SET);
            }
        });
        test("records before an offset are deleted", () -> {
            var deleted = admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(4)));
            check(deleted.lowWatermarks().get(p0).get().lowWatermark() == 4, "low watermark");
            var first = admin.listOffsets(Map.of(p0, OffsetSpec.earliest())).all().get();
            check(first.get(p0).offset() == 4, first);
            fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> admin
                .deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(11))).all().get());
        });
        test("a consumer with a fetch session reads what is left, and what comes", () -> {
            var properties = settings("auto.offset.reset", "earliest");
            var values = new ArrayList<String>();
            try (var consumer = new KafkaConsumer<>(properties, new StringDeserializer(),
                                                    new StringDeserializer());
                 var producer = producer()) {
                consumer.assign(List.of(p0, new TopicPartition("t", 1)));
                for (int i = 0; i < 200 && values.size() < 17; i++) {
                    consumer.poll(Duration.ofMillis(100)).forEach(r -> values.add(r.value()));
                    if (i < 10)
                        producer.send(new ProducerRecord<>("t", i % 2, "k", "new")).get();
                }
            }
            check(values.size() == 17 && !values.contains("v3") && values.contains("v4"), values);
        });
        test("the bucket is the log directory, with the sizes of partitions", () -> {
            var dirs = admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1);
            check(dirs.size() == 1 && dirs.keySet().iterator().next().startsWith("file:"), dirs);
            var sizes = dirs.values().iterator().next().replicaInfos();
            check(sizes.get(p0).size() > 0, sizes);
        });
    }

    static void partitions() {
        var p0 = new TopicPartition("t", 0);

        test("partitions are added, within what makes sense", () -> {
            admin.createPartitions(Map.of("t", NewPartitions.increaseTo(4))).all().get();
            var told = admin.describeTopics(List.of("t")).allTopicNames().get().get("t");
            check(told.partitions().size() == 4 && told.partitions().get(3).leader().id() == 1,
                  told);
            fails(InvalidPartitionsException.class, () -> admin
                .createPartitions(Map.of("t", NewPartitions.increaseTo(4))).all().get());
        });
        test("there is nothing to elect and nothing to move", () -> {
            fails(ElectionNotNeededException.class, () -> {
                var results = admin.electLeaders(ElectionType.PREFERRED, Set.of(p0))
                    .partitions().get();
                throw new ExecutionException(results.get(p0).get());
            });
            var target = Optional.of(new NewPartitionReassignment(List.of(2)));
            fails(InvalidReplicaAssignmentException.class, () -> admin
                .alterPartitionReassignments(Map.of(p0, target)).all().get());
            check(admin.listPartitionReassignments().reassignments().get().isEmpty(), "some");
        });
    }

    static void quotas() {
        var client = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "scenario"));

        test("quotas are set, told, and throttle", () -> {
            var op = new ClientQuotaAlteration.Op("producer_byte_rate", 20000.0);
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(client, List.of(op))))
                .all().get();
            var told = admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get();
            check(told.equals(Map.of(client, Map.of("producer_byte_rate", 20000.0))), told);
            try (var producer = producer()) {
                for (int i = 0; i < 2; i++)
                    producer.send(new ProducerRecord<>("t", 2, "k", "x".repeat(30000))).get();
                double throttled = 0;
                for (var metric : producer.metrics().entrySet())
                    if (metric.getKey().name().equals("produce-throttle-time-max"))
                        throttled = (double) metric.getValue().metricValue();
                check(throttled > 0, throttled);
            }
            op = new ClientQuotaAlteration.Op("producer_byte_rate", null);
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(client, List.of(op))))
                .all().get();
            told = admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get();
            check(told.isEmpty(), told);
        });
        test("an address has a quota of connections", () -> {
            var address = new ClientQuotaEntity(Map.of(ClientQuotaEntity.IP, "192.0.2.1"));
            for (Double rate : new Double[] { 5.0, null }) {
                var op = new ClientQuotaAlteration.Op("connection_creation_rate", rate);
                admin.alterClientQuotas(List.of(new ClientQuotaAlteration(address, List.of(op))))
                    .all().get();
                var told = admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get();
                check(rate == null ? told.isEmpty()
                      : told.equals(Map.of(address, Map.of("connection_creation_rate", rate))), told);
            }
        });
    }

    public static void main(String[] words) {
        admin = Admin.create(settings());
        configs();
        records();
        partitions();
        quotas();
        admin.close();
    }
}
