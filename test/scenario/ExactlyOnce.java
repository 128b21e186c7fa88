// Run by transactions_java.py: reads one topic in a group, and writes each record to another in
// transactions that commit the offsets too, until it has been told to stop or has seen COUNT.
// Prints a line for each transaction: "committed N" or "aborted N".
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

public class ExactlyOnce {
    static Properties settings(String... words) {
        Properties p = new Properties();
        p.put("bootstrap.servers", System.getenv("BROKER"));
        p.put("reconnect.backoff.ms", "20");
        p.put("reconnect.backoff.max.ms", "200");
        for (String side : List.of("key", "value")) {
            p.put(side + ".serializer",
                  "org.apache.kafka.common.serialization.StringSerializer");
            p.put(side + ".deserializer",
                  "org.apache.kafka.common.serialization.StringDeserializer");
        }
        for (int i = 0; i < words.length; i += 2)
            p.put(words[i], words[i + 1]);
        return p;
    }

    static KafkaProducer<String, String> newProducer() {
        KafkaProducer<String, String> producer = new KafkaProducer<>(
            settings("transactional.id", "java-worker", "transaction.timeout.ms", "20000"));
        producer.initTransactions();
        return producer;
    }

    static int transact(KafkaConsumer<String, String> consumer,
                        KafkaProducer<String, String> producer,
                        ConsumerRecords<String, String> records, boolean aborts) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>("target", record.partition(), null, record.value()));
            offsets.put(new TopicPartition(record.topic(), record.partition()),
                        new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        if (aborts)
            producer.abortTransaction();
        else
            producer.commitTransaction();
        System.out.println((aborts ? "aborted " : "committed ") + records.count());
        return aborts ? 0 : records.count();
    }

    static void rewind(KafkaConsumer<String, String> consumer) {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        for (TopicPartition p : consumer.assignment()) {
            if (committed.get(p) == null)
                consumer.seekToBeginning(List.of(p));
            else
                consumer.seek(p, committed.get(p).offset());
        }
    }

    public static void main(String[] words) {
        int count = Integer.parseInt(System.getenv("COUNT")), done = 0, number = 0;
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(
            settings("group.id", "java-workers", "enable.auto.commit", "false",
                     "auto.offset.reset", "earliest", "isolation.level", "read_committed",
                     "max.poll.records", "50", "session.timeout.ms", "10000"));
        KafkaProducer<String, String> producer = newProducer();
        consumer.subscribe(List.of("source"));
        while (done < count) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
            if (records.isEmpty())
                continue;
            boolean aborts = number++ % 7 == 3;
            try {
                done += transact(consumer, producer, records, aborts);
                if (aborts)
                    rewind(consumer);
            } catch (KafkaException error) {
                System.out.println("again: " + error);
                producer.close(Duration.ZERO);
                producer = newProducer();
                rewind(consumer);
                done = (int) consumer.committed(consumer.assignment()).values().stream()
                    .filter(o -> o != null).mapToLong(OffsetAndMetadata::offset).sum();
            }
        }
        producer.close();
        consumer.close();
    }
}
