import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.lang.StringEscapeUtils;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.VelocityEngine;
import org.apache.velocity.runtime.log.NullLogChute;

/**
 * Renders mapping templates with Apache Velocity, the engine of API Gateway, and a stand-in for each variable that API Gateway adds.
 *
 * <p>In (standard input): a line with a JSON list of {"template", "path": {}, "query": {}, "header": {}, "body": text}. Out: a line
 * with a JSON list of {"output", "status"} for each, status being what the template set by $context.responseOverride.status, or null.
 */
public final class Render {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** $input: parameters of the request, and the payload of the request or of the answer. */
  public static final class Input {
    private final List<Map<String, String>> sources;
    private final String body;

    Input(Map<String, Object> given) {
      sources = new ArrayList<>();
      for (String source : List.of("path", "query", "header")) {
        @SuppressWarnings("unchecked")
        Map<String, String> parameters = (Map<String, String>) given.getOrDefault(source, Map.of());
        sources.add(parameters);
      }
      body = (String) given.getOrDefault("body", "");
    }

    /** The parameter from path, query or headers, in this order; empty if there is none. */
    public String params(String name) {
      for (Map<String, String> source : sources) {
        if (source.containsKey(name)) {
          return source.get(name);
        }
      }
      return "";
    }

    /** The value at $, or at $.name; null if there is none. */
    public Object path(String path) throws Exception {
      Object root = body.isEmpty() ? Map.of() : JSON.readValue(body, Object.class);
      if (path.equals("$")) {
        return root;
      }
      if (!path.startsWith("$.") || path.indexOf('.', 2) >= 0) {
        throw new IllegalArgumentException("this stand-in knows no path " + path);
      }
      return root instanceof Map ? ((Map<?, ?>) root).get(path.substring(2)) : null;
    }
  }

  /** $util, as API Gateway's reference describes it. */
  public static final class Util {
    public String escapeJavaScript(Object text) {
      return StringEscapeUtils.escapeJavaScript(String.valueOf(text));
    }
  }

  public static void main(String[] arguments) throws Exception {
    VelocityEngine engine = new VelocityEngine();
    engine.setProperty("runtime.log.logsystem.class", NullLogChute.class.getName());
    engine.setProperty("velocimacro.library", "");
    engine.init();

    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println(JSON.writeValueAsString(render(engine, JSON.readValue(line, List.class))));
    }
  }

  private static List<Map<String, Object>> render(VelocityEngine engine, List<?> cases) {
    List<Map<String, Object>> rendered = new ArrayList<>();
    for (Object each : cases) {
      @SuppressWarnings("unchecked")
      Map<String, Object> given = (Map<String, Object>) each;
      Map<String, Object> override = new HashMap<>();
      Map<String, Object> context = new HashMap<>(Map.of("responseOverride", override));
      VelocityContext variables = new VelocityContext();
      variables.put("input", new Input(given));
      variables.put("util", new Util());
      variables.put("context", context);
      StringWriter output = new StringWriter();
      engine.evaluate(variables, output, "template", (String) given.get("template"));
      Map<String, Object> result = new HashMap<>();
      result.put("output", output.toString());
      result.put("status", override.get("status"));
      rendered.add(result);
    }
    return rendered;
  }
}
