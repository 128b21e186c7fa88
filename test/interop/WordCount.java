import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Counts the words of the topic "lines" into the topic "counts", each word once whatever happens.
 * usage: WordCount BOOTSTRAP STATE_DIRECTORY
 */
public class WordCount {
	public static void main(String[] words) {
		Properties settings = new Properties();
		settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
		settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, words[0]);
		settings.put(StreamsConfig.STATE_DIR_CONFIG, words[1]);
		settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
		settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
		settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
		// Every count is written, so that one that was lost or came twice is seen.
		settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
		settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
		settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
		settings.put("auto.offset.reset", "earliest");
		settings.put("session.timeout.ms", 6000);
		settings.put("heartbeat.interval.ms", 1000);

		StreamsBuilder builder = new StreamsBuilder();
		KStream<String, String> lines = builder.stream("lines");
		lines.flatMapValues(line -> Arrays.asList(line.split(" ")))
			.groupBy((key, word) -> word)
			.count()
			.toStream()
			.mapValues(count -> Long.toString(count))
			.to("counts", Produced.with(Serdes.String(), Serdes.String()));

		KafkaStreams streams = new KafkaStreams(builder.build(), settings);
		streams.setStateListener((now, before) -> System.out.println("state " + now));
		Runtime.getRuntime().addShutdownHook(
			new Thread(() -> streams.close(Duration.ofSeconds(20))));
		streams.start();
	}
}
