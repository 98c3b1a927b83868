import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.ConnectionFactory;
import java.math.BigDecimal;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;

/** Publishes with every type of header that Java's client encodes: URL QUEUE. */
public class PublishWithJava {
  public static void main(String[] args) throws Exception {
    Map<String, Object> headers = new LinkedHashMap<>();
    headers.put("integer", 5);
    headers.put("long", 5L);
    headers.put("short", (short) 5);
    headers.put("byte", (byte) 5);
    headers.put("float", 0.5f);
    headers.put("double", 5.0);
    headers.put("decimal", new BigDecimal("4.99"));
    headers.put("date", new Date(1764000000000L));
    headers.put("bytes", new byte[] {1, 2, 3});
    headers.put("list", Arrays.asList(1, "two"));
    headers.put("none", null);
    var properties =
        new AMQP.BasicProperties.Builder()
            .contentType("text/plain")
            .deliveryMode(2)
            .priority(9)
            .headers(headers)
            .build();
    var factory = new ConnectionFactory();
    factory.setUri(args[0]);
    try (var connection = factory.newConnection();
        var channel = connection.createChannel()) {
      channel.confirmSelect();
      channel.basicPublish("", args[1], properties, "hello".getBytes("UTF-8"));
      channel.waitForConfirmsOrDie(60_000);
    }
  }
}
