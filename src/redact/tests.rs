//! What becomes of texts of every kind, and the laws that hold for all.

use proptest::prelude::*;

use super::*;

fn redactor() -> Redactor {
    Redactor::new(["X-Session"])
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(redactor().text(text), expected, "of {text}");
}

#[track_caller]
fn stays(text: &str) {
    assert!(
        matches!(redactor().text(text), Cow::Borrowed(same) if same == text),
        "{text} became {}",
        redactor().text(text)
    );
}

#[track_caller]
fn writes(json: &str, expected: &str) {
    let mut out = Vec::new();
    redactor().write_json(json, &mut out);
    assert_eq!(String::from_utf8_lossy(&out), expected, "of {json}");
}

#[test]
fn maps_of_headers_lose_credentials_and_keep_the_other_headers() {
    becomes(
        "{Accept=*/*, Authorization=Bearer abc, def, Host=h, X-Session=1 2, Cookie=a=b; c=d}",
        "{Accept=*/*, Authorization=[REDACTED], Host=h, X-Session=[REDACTED], Cookie=[REDACTED]}",
    );
    becomes(
        "{Authorization=AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host;date, Signature=0a1b, Host=h}",
        "{Authorization=[REDACTED], Host=h}",
    );
    becomes("{Authorization=OAuth realm=\"x\", oauth_token=\"a\", Host=h}", "{Authorization=[REDACTED], Host=h}");
    becomes(
        "{Authorization=[Bearer abc], Set-Cookie=[a=b; Path=/, c=d]}",
        "{Authorization=[REDACTED], Set-Cookie=[REDACTED]}",
    );
    becomes(
        "Endpoint request headers: {Host=h, x-api-key=a}b",
        "Endpoint request headers: {Host=h, x-api-key=[REDACTED]",
    );
    becomes("{Set-Cookie=a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT, Date=x}", "{Set-Cookie=[REDACTED], Date=x}");
    becomes("{Referer=https://h/?code=abc, Host=h}", "{Referer=https://h/?code=[REDACTED], Host=h}");
    becomes("{X-Amz-Security-Token=FwoGZX", "{X-Amz-Security-Token=[REDACTED]");
    becomes("{Authorization=, Host=h, Cookie=}", "{Authorization=, Host=h, Cookie=}");
    stays("{key=a, code=b, Content-Type=x; charset=y, Access-Control-Allow-Headers=Authorization,X-Api-Key, Host=h}");
}

#[test]
fn maps_of_query_parameters_lose_the_names_of_queries_too() {
    becomes(
        "Method request query string: {code=a b, page=2, sig=c}",
        "Method request query string: {code=[REDACTED], page=2, sig=[REDACTED]}",
    );
    becomes("{Host=h, queryString=code=S b=c, Via=v}", "{Host=h, queryString=code=[REDACTED] b=c, Via=v}");
    becomes("{Host=h, QueryString=a=1, code=S, Via=v}", "{Host=h, QueryString=a=1, code=[REDACTED], Via=v}");
    becomes("{queryStringParameters={key=a}, key=b}", "{queryStringParameters={key=[REDACTED]}, key=b}");
}

#[test]
fn urls_lose_parameters() {
    becomes("https://h/p?access_token=abc&page=2#top", "https://h/p?access_token=[REDACTED]&page=2#top");
    becomes("/p?page=2&CODE=a.b-c~d", "/p?page=2&CODE=[REDACTED]");
    becomes("GET /p?sig=a%2Bb%3D HTTP/1.1", "GET /p?sig=[REDACTED] HTTP/1.1");
    becomes("/p?%61ccess%5Ftoken=abc&a=b", "/p?%61ccess%5Ftoken=[REDACTED]&a=b");
    becomes("https://h/cb#access_token=abc&state=s", "https://h/cb#access_token=[REDACTED]&state=s");
    becomes("<a href=\"/p?a=b&amp;key=c\">", "<a href=\"/p?a=b&amp;key=[REDACTED]\">");
    becomes(
        "see https://h/?key=abc, or (https://h/?key=def).",
        "see https://h/?key=[REDACTED], or (https://h/?key=[REDACTED]).",
    );
    becomes(
        "https://b.s3.amazonaws.com/o?X-Amz-Credential=A%2Fb&X-Amz-Date=2&X-Amz-Security-Token=c&X-Amz-Signature=d",
        "https://b.s3.amazonaws.com/o?X-Amz-Credential=[REDACTED]&X-Amz-Date=2&X-Amz-Security-Token=[REDACTED]&X-Amz-Signature=[REDACTED]",
    );
    stays("https://h/keys?page=2&keyboard=a&x-token-type=b&code_challenge=c");
    stays("https://joe@h:443/token/secret?next=%2Fa%3Ab");
}

#[test]
fn urls_inside_parameters_lose_theirs() {
    becomes(
        "/login?next=https%3A%2F%2Fh%2F%3Ftoken%3Dabc%26a%3Db&x=y",
        "/login?next=https%3A%2F%2Fh%2F%3Ftoken%3D[REDACTED]%26a%3Db&x=y",
    );
    becomes("/login?next=%252F%253Fcode%253Dabc%2526a%253Db", "/login?next=%252F%253Fcode%253D[REDACTED]%2526a%253Db");
    becomes(
        "d=%7B%22password%22%3A%22abc%22%2C%22n%22%3A1%7D",
        "d=%7B%22password%22%3A%22[REDACTED]%22%2C%22n%22%3A1%7D",
    );
    becomes("/p?d=%7B%22password%22:%22abc%22%7D", "/p?d=%7B%22password%22:%22[REDACTED]%22%7D");
    becomes("d=%7B%22password%22%3A12%7D", "d=%7B%22password%22%3A%22[REDACTED]%22%7D");
}

#[test]
fn forms_lose_values_whole() {
    becomes("code=abc&grant_type=authorization_code", "code=[REDACTED]&grant_type=authorization_code");
    becomes("client_id=a&client_secret=b;c#d,e f&scope=token", "client_id=a&client_secret=[REDACTED]&scope=token");
    becomes("signature=abc", "signature=[REDACTED]");
    becomes(
        "grant_type=password&username=joe&password=p'q\"r\r\n",
        "grant_type=password&username=joe&password=[REDACTED]\r\n",
    );
    becomes("data={\"token\":\"abc\"}&a=b", "data={\"token\":\"[REDACTED]\"}&a=b");
    stays("grant_type=password&response_type=token&password=&a=key");
}

#[test]
fn multipart_fields_lose_values() {
    becomes(
        "--b\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nabc\r\n--b\r\nContent-Disposition: form-data; name=\"page\"\r\n\r\n2\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n[REDACTED]\r\n--b\r\nContent-Disposition: form-data; name=\"page\"\r\n\r\n2\r\n--b--",
    );
    becomes(
        "--b\nContent-Disposition: form-data; name=\"password\"\n\nab\ncd",
        "--b\nContent-Disposition: form-data; name=\"password\"\n\n[REDACTED]",
    );
}

#[test]
fn json_loses_values_of_any_type_and_stays_json() {
    becomes(r#"{"password":"a\"b","n":1}"#, r#"{"password":"[REDACTED]","n":1}"#);
    becomes(r#"{ "token" : 123 , "apiKey":true}"#, r#"{ "token" : "[REDACTED]" , "apiKey":"[REDACTED]"}"#);
    becomes(
        r#"{"secret":{"a":["}"]},"cookie":[1,[2]],"n":[]}"#,
        r#"{"secret":"[REDACTED]","cookie":"[REDACTED]","n":[]}"#,
    );
    becomes(r#"[{"pass\u0077ord":"a"},"b"]"#, r#"[{"pass\u0077ord":"[REDACTED]"},"b"]"#);
    becomes(r#"{"type":"TOKEN","authorizationToken":"abc"}"#, r#"{"type":"TOKEN","authorizationToken":"[REDACTED]"}"#);
    becomes(
        r#"{"a":"token: b","c":"Authorization: Basic b\nHost: h"}"#,
        r#"{"a":"token: [REDACTED]","c":"Authorization: [REDACTED]\nHost: h"}"#,
    );
    becomes(r#"{"grant_type=password&password=abc":""}"#, r#"{"grant_type=password&password=[REDACTED]":""}"#);
    becomes(r#"[1,"x Authorization: Basic b","c"]"#, r#"[1,"x Authorization: [REDACTED]","c"]"#);
    becomes(r#""https:\/\/h\/?a=b\u0026code=c""#, r#""https:\/\/h\/?a=b\u0026code=[REDACTED]""#);
    becomes(r#"{"u":"\u003fkey\u003dabc\u0026a"}"#, r#"{"u":"\u003fkey\u003d[REDACTED]\u0026a"}"#);
    stays(
        r#"{"code":1,"key":"a","tokenCount":3,"signature":"s","a":{"sig":2},"password":null,"token":"","grant_type":"password"}"#,
    );
}

#[test]
fn the_query_of_a_proxied_request_loses_the_names_of_queries() {
    becomes(
        r#"{"params":{"querystring":"{code=a, p=b}","header":"{code=a, Cookie=b}"}}"#,
        r#"{"params":{"querystring":"{code=[REDACTED], p=b}","header":"{code=a, Cookie=[REDACTED]}"}}"#,
    );
    becomes(
        r#"{"queryString":"code=a b","text":"code=a b"}"#,
        r#"{"queryString":"code=[REDACTED]","text":"code=a b"}"#,
    );
    becomes(
        r#"{"queryStringParameters":{"code":"a","p":"b"},"multiValueQueryStringParameters":{"key":["a","b"]},"key":"c"}"#,
        r#"{"queryStringParameters":{"code":"[REDACTED]","p":"b"},"multiValueQueryStringParameters":{"key":"[REDACTED]"},"key":"c"}"#,
    );
    becomes(
        r#"{"rawQueryString":"code=a&p=b","body":"sig=a"}"#,
        r#"{"rawQueryString":"code=[REDACTED]&p=b","body":"sig=[REDACTED]"}"#,
    );
}

#[test]
fn json_in_json_strings_loses_values() {
    becomes(r#"{"body":"{\"password\":\"a\",\"n\":1}"}"#, r#"{"body":"{\"password\":\"[REDACTED]\",\"n\":1}"}"#);
    becomes(r#"{"body":"{\"token\":{\"a\":1}}"}"#, r#"{"body":"{\"token\":\"[REDACTED]\"}"}"#);
    becomes(
        r#"{"a":"{\"b\":\"{\\\"secret\\\":\\\"x\\\\\\\"y\\\",\\\"c\\\":12}\"}"}"#,
        r#"{"a":"{\"b\":\"{\\\"secret\\\":\\\"[REDACTED]\\\",\\\"c\\\":12}\"}"}"#,
    );
    becomes(
        r#"said {\"password\":\"a\\\"b\",\"token\":12} and {\"n\":1}"#,
        r#"said {\"password\":\"[REDACTED]\",\"token\":\"[REDACTED]\"} and {\"n\":1}"#,
    );
    becomes(r#"x {\\\"a\\\":{\\\"secret\\\":[\\\"]\\\"]}}"#, r#"x {\\\"a\\\":{\\\"secret\\\":\\\"[REDACTED]\\\"}}"#);
}

#[test]
fn what_was_cut_loses_the_rest_of_the_value() {
    becomes(r#"{"a":1,"password":"abc"#, r#"{"a":1,"password":"[REDACTED]"#);
    becomes(r#"{"password":"abc\"#, r#"{"password":"[REDACTED]"#);
    becomes(r#"{"body":"{\"password\":\"abc"#, r#"{"body":"{\"password\":\"[REDACTED]"#);
    becomes(r#"{"body":"{\"password\":\"abc\\"#, r#"{"body":"{\"password\":\"[REDACTED]"#);
    becomes(r#"{"token":{"a":"b","c":["#, r#"{"token":"[REDACTED]""#);
    becomes(r#"{"token":12"#, r#"{"token":"[REDACTED]""#);
    becomes("a=b&client_secret=abc", "a=b&client_secret=[REDACTED]");
    becomes("{Host=h, Authorization=Bearer abc", "{Host=h, Authorization=[REDACTED]");
    becomes("{\"password\":\"abc [TRUNCATED]", "{\"password\":\"[REDACTED] [TRUNCATED]");
    becomes("{Cookie=a=b; c= [TRUNCATED]\n", "{Cookie=[REDACTED] [TRUNCATED]\n");
    stays(r#"{"password":""#);
    stays(r#"{"password""#);
}

#[test]
fn json_that_a_template_broke_loses_values() {
    becomes(
        r#"{"status":-,"ua":"a "b" c","token":"x","n":1}"#,
        r#"{"status":-,"ua":"a "b" c","token":"[REDACTED]","n":1}"#,
    );
    becomes(r#"{"ua":"a "b","apiKey":x-y z,"n":-}"#, r#"{"ua":"a "b","apiKey":"[REDACTED]","n":-}"#);
    becomes(
        r#"(id) Endpoint request body: {"password":"a"} sent"#,
        r#"(id) Endpoint request body: {"password":"[REDACTED]"} sent"#,
    );
    becomes(r#""{""password"":""abc"",""n"":1}""#, r#""{""password"":""[REDACTED]"",""n"":1}""#);
    becomes("{'password': 'it\\'s', 'n': 1}", "{'password': '[REDACTED]', 'n': 1}");
    becomes(
        "{password: 'a', token: \"b\", secret: c}",
        "{password: '[REDACTED]', token: \"[REDACTED]\", secret: [REDACTED]}",
    );
    becomes("{\"password\"=>\"a\"}", "{\"password\"=>\"[REDACTED]\"}");
}

#[test]
fn a_quote_that_nobody_escaped_hides_no_pair() {
    becomes(
        r#"{" {Accept=a, body={Host=h, Authorization=Scheme id="7", a_key=S, sig="S", Via=v}}"#,
        r#"{" {Accept=a, body={Host=h, Authorization=[REDACTED], Via=v}}"#,
    );
    for between in [r#""note":"a "b" c""#, r#""n":"#, r#""n":a b, c"#, r#""n":-"#] {
        for (first, second, shown) in [
            (r#""name":"Cookie""#, r#""value":"S""#, r#""value":"[REDACTED]""#),
            (r#""name":"z""#, r#""value":"kept""#, r#""value":"kept""#),
        ] {
            let list = |first: &str, second: &str| format!(r#"{{"h":[{{{first},{between},{second}}}],"a "b" c":1}}"#);
            becomes(&list(first, second), &list(first, shown));
            becomes(&list(second, first), &list(shown, first));
        }
    }
    becomes(r#"{"h":["host","a "b" c","cookie","S"]}"#, r#"{"h":["host","a "b" c","cookie","[REDACTED]"]}"#);
    becomes(r#"{"password":"a"b","n":"c"}"#, r#"{"password":"[REDACTED]","n":"c"}"#);
    becomes(
        r#"{"body":"[{"name":"Cookie","x":"a "b" c","value":"S"}]","n":"c"}"#,
        r#"{"body":"[{"name":"Cookie","x":"a "b" c","value":"[REDACTED]"}]","n":"c"}"#,
    );
    becomes(
        r#"token{\" {Accept=a, body=<a Authorization="S" b="c"/>}"#,
        r#"token{\" {Accept=a, body=<a Authorization="[REDACTED]" b="c"/>}"#,
    );
    becomes(r#"="\ {Accept=a, body=<a token="S"/>}"#, r#"="\ {Accept=a, body=<a token="[REDACTED]"/>}"#);
    becomes(
        "{;=&<r>[{&quot;a&quot;:1},{&quot;b&quot;:&quot;{Authorization=Scheme id=\\&quot;7\\&quot;, a_key=S}&quot;}]</r>",
        "{;=&<r>[{&quot;a&quot;:1},{&quot;b&quot;:&quot;{Authorization=[REDACTED]}&quot;}]</r>",
    );
    becomes("<![CDATA[[identity.apiKey=S]]]></body><", "<![CDATA[[identity.apiKey=[REDACTED]]]]></body><");
    becomes("{&Authorization=S", "{&Authorization=[REDACTED]");
    stays(r#"{"base64":"YQ==","a":"b "c" d","n":1,"e":"f, "g"","h":["i "j", k"]}"#);
}

#[test]
fn a_notation_in_another_is_searched_however_it_is_cut() {
    for text in [
        r#"form-data; name=\"d\"\r\n\r\n[{\"Value\":\"S\",\"Name\":\"password\"}]\r\n--c--"#,
        r#"form-data; name="d"\r\n\r\n<a token="S" b="c"/>\r\n--c--"#,
        "form-data; name=\"d\"\n\n{\"j\":\"form-data; name=\\\"pwd\\\"\\n\\nS\\n--b\"}\n--c--",
        "<body>{Accept=a, body=&lt;r&gt;form-data; name=&amp;quot;pwd&amp;quot;\n\nS\n--b\nname=&amp;quot;a&amp;",
        "<r><body>sig=S&amp;z=a</body></r",
        "<r><body>sig=S&am",
        "(0a-1b) Method request body: sig=S",
        "{Accept=a, body={Host=h, body=Method request query string: {a=b, code=S",
        r#"{Accept=a, body=["Method request query string: {a=b, code=S}","a: b"#,
        r#"{Accept=a, body=[{"name":"z"},{"name":"body","value":"Method request query string: {a=b, code=S"#,
        "{Accept=a, body=GET / HTTP/1.1\\r\\nAuthorization: Digest b=\"c\", response=\"S\", nc=1, Host=h}",
        "<![CDATA[{Host=h, Cookie=a=b; c=S, session=S; Path=/}]]>",
    ] {
        let redacted = redactor().text(text).into_owned();
        assert!(redacted.contains(REDACTED) && !redacted.contains('S'), "{text}\nbecame\n{redacted}");
    }
}

#[test]
fn free_text_loses_what_stands_behind_a_name() {
    becomes("login with password=abc, user=joe", "login with password=[REDACTED], user=joe");
    becomes("token: Bearer abc rest", "token: [REDACTED] rest");
    becomes("password: correct horse battery", "password: [REDACTED]");
    becomes("(id) Authorization: Bearer abc rest", "(id) Authorization: [REDACTED] rest");
    becomes("body: code=a&b=c&key=d", "body: code=[REDACTED]&b=c&key=[REDACTED]");
    becomes("got token: Bearer abc rest", "got token: [REDACTED] rest");
    becomes("Authorization=Basic YTpi status=200", "Authorization=[REDACTED] status=200");
    becomes(
        "Host: h\nAuthorization: Digest username=\"a\", response=\"b\"\r\nCookie: a=b; c=d\nA: b",
        "Host: h\nAuthorization: [REDACTED]\r\nCookie: [REDACTED]\nA: b",
    );
    becomes(
        "curl -H \"X-Api-Key: abc\" -H 'Authorization: Bearer d' https://h/",
        "curl -H \"X-Api-Key: [REDACTED]\" -H 'Authorization: [REDACTED]' https://h/",
    );
    becomes("deploy --token=abc --password def", "deploy --token=[REDACTED] --password def");
    becomes("Cookie=a=b; c=d next", "Cookie=[REDACTED] next");
    becomes("password = 'a b' # c", "password = '[REDACTED]' # c");
    becomes("x token=a\ny secret=b", "x token=[REDACTED]\ny secret=[REDACTED]");
    stays("if (token == null) password= user=joe");
    stays("The security token is invalid, the secret too");
    stays("Proxy-Authorization-Info: none, my_password=a, code: 12, code=12 key: k");
}

#[test]
fn ordinary_values_of_access_logs_stay() {
    stays("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0");
    stays("25/Sep/2026:09:20:30 +0000");
    stays("2026-11-21T18:59:00.123Z");
    stays("arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d");
    stays("arn:aws:secretsmanager:eu-west-1:111122223333:secret:name-AbCdEf");
    stays("urn:ietf:params:oauth:grant-type:token-exchange");
    stays("Root=1-5c755b5d-07b29b94e632d3da19d88789;Sampled=1");
    stays("JKJaXmPLvHcESHA=");
    stays("2001:db8::1");
    stays("multipart/form-data; boundary=token");
    stays("cognito-idp.eu-west-1.amazonaws.com/pool,cognito-idp.eu-west-1.amazonaws.com/pool:CognitoSignIn:qwert");
    stays("CN=example.com,O=Example Corp.,C=GB");
    stays("Bearer realm=\"api\", error=\"invalid_token\"");
    stays("key");
    stays("");
}

#[test]
fn json_is_written_without_space_between_its_tokens() {
    writes(
        " { \"a b\" : [ 1 , \"c \\\" d\" ,null ] ,\n\"token\" : [ 2 ] } ",
        r#"{"a b":[1,"c \" d",null],"token":"[REDACTED]"}"#,
    );
    writes(r#" "\u0061\/" "#, r#""\u0061\/""#);
    let mut out = Vec::new();
    Redactor::off().write_json("{ \"token\" : 1 }", &mut out);
    assert_eq!(out, br#"{"token":1}"#);
}

#[test]
fn nothing_is_hidden_when_off() {
    let off = Redactor::off();
    assert!(!off.hides("token") && !off.hides_in_query("key"));
    assert_eq!(off.text("token=abc"), "token=abc");
}

#[track_caller]
fn becomes_with(redactor: &Redactor, text: &str, expected: &str) {
    assert_eq!(redactor.text(text), expected, "of {text}");
    assert_eq!(redactor.text(expected), expected, "once more");
}

#[test]
fn names_are_known_however_they_are_spelt() {
    for name in [
        "identityApiKey",
        "identity.apiKey",
        "auth.token",
        "accessToken",
        "clientSecret",
        "access-token",
        "x-auth-token",
        "sessionToken",
        "newPassword",
        "pwd",
        "client_assertion",
        "SecretAccessKey",
        "X-Amzn-Oidc-Data",
        "X-Amzn-Oidc-Accesstoken",
    ] {
        becomes(&format!(r#"{{"{name}":"S","n":1}}"#), &format!(r#"{{"{name}":"[REDACTED]","n":1}}"#));
        becomes(&format!("a {name}:S b"), &format!("a {name}:[REDACTED] b"));
        becomes(&format!("/p?{name}=S&b=c"), &format!("/p?{name}=[REDACTED]&b=c"));
        becomes(&format!("{{Host=h, {name}=S, Via=v}}"), &format!("{{Host=h, {name}=[REDACTED], Via=v}}"));
    }
    becomes("context.identity.apiKey:S", "context.identity.apiKey:[REDACTED]");
    stays(r#"{"tokenCount":1,"password_hint":"a","oidc_data":"b","max_tokens":2,"token.count":3}"#);
}

#[test]
fn lists_of_names_and_values_lose_values() {
    for (name, value) in
        [("name", "value"), ("key", "value"), ("Name", "Value"), ("k", "v"), ("headerName", "headerValue")]
    {
        becomes(
            &format!(
                r#"{{"headers":[{{"{name}":"Host","{value}":"h"}},{{"{name}":"Authorization","{value}":"Bearer S"}}]}}"#
            ),
            &format!(
                r#"{{"headers":[{{"{name}":"Host","{value}":"h"}},{{"{name}":"Authorization","{value}":"[REDACTED]"}}]}}"#
            ),
        );
        becomes(
            &format!(r#"[{{"{value}":["S"],"id":1,"{name}":"x-api-key"}}]"#),
            &format!(r#"[{{"{value}":"[REDACTED]","id":1,"{name}":"x-api-key"}}]"#),
        );
    }
    becomes(r#"[["authorization","Bearer S"],["host","h"]]"#, r#"[["authorization","[REDACTED]"],["host","h"]]"#);
    becomes(
        r#"{"rawHeaders":["Host","h","Authorization","S","Accept","*/*"]}"#,
        r#"{"rawHeaders":["Host","h","Authorization","[REDACTED]","Accept","*/*"]}"#,
    );
    becomes(r#"{"cookies":["sid=S","b=2"],"n":1}"#, r#"{"cookies":"[REDACTED]","n":1}"#);
    becomes(r#"{"cookies":{"sid":"S"},"n":1}"#, r#"{"cookies":"[REDACTED]","n":1}"#);
    becomes(
        r#"{"queryString":[{"name":"code","value":"S"}],"x":[{"name":"code","value":1}]}"#,
        r#"{"queryString":[{"name":"code","value":"[REDACTED]"}],"x":[{"name":"code","value":1}]}"#,
    );
    becomes(
        r#"said [{\"name\":\"token\",\"value\":\"S\"}] then"#,
        r#"said [{\"name\":\"token\",\"value\":\"[REDACTED]\"}] then"#,
    );
    stays(
        r#"{"cookies":3,"list":["token","a","b"],"required":["user","password"],"pairs":[["host","token"],[1,"token","a"]]}"#,
    );
    stays(r#"[{"name":"latency","value":12},{"value":1}]"#);
}

#[test]
fn a_list_that_was_cut_loses_the_values_whose_names_are_gone() {
    becomes(r#"[{"name":"token","value":"S"#, r#"[{"name":"token","value":"[REDACTED]"#);
    becomes(r#"[{"value":"S"#, r#"[{"value":"[REDACTED]"#);
    becomes(r#"[{"value":["S"#, r#"[{"value":"[REDACTED]""#);
    becomes(r#"[{"value":"S","na [TRUNCATED]"#, r#"[{"value":"[REDACTED]","na [TRUNCATED]"#);
    becomes(r#"[{"value":"S","name":"tok [TRUNCATED]"#, r#"[{"value":"[REDACTED]","name":"tok [TRUNCATED]"#);
    becomes(r#"["a","b","cookie","S"#, r#"["a","b","cookie","[REDACTED]"#);
    stays(r#"[{"name":"a","value":"b"#);
    stays(r#"[{"value":"b","name":"a","c [TRUNCATED]"#);
}

#[test]
fn a_credential_of_a_map_goes_whole_whatever_its_scheme() {
    for value in [
        r#"Signature keyId="k", created=1618884473, headers="host", signature="S""#,
        "OAuth oauth_consumer_key=k, oauth_token=S",
        r#"Hawk id="x", ts=1, mac="S""#,
        "ApiKey id=7, sharedKey=S",
        "Unheard id=7, some_key=S",
        "id=7, key=S",
    ] {
        let text = |value: &str| format!("Endpoint request headers: {{Accept=*/*, Authorization={value}, Host=h}}");
        becomes(&text(value), &text("[REDACTED]"));
        becomes(&format!("{{Authorization={value}"), "{Authorization=[REDACTED]");
    }
    for value in ["a=1; Path=/, sid=S; HttpOnly", "a=1, b=S", "a=1; Path=/, session-id=S", "a=1, b=S; Pa [TRUNCATED]"] {
        becomes(
            &format!("{{Set-Cookie={value}"),
            if value.contains("TRUNC") { "{Set-Cookie=[REDACTED] [TRUNCATED]" } else { "{Set-Cookie=[REDACTED]" },
        );
    }
    becomes(
        "{Set-Cookie=a=1, b=S, Content-Type=text/html, X-Kept=1}",
        "{Set-Cookie=[REDACTED], Content-Type=text/html, X-Kept=1}",
    );
    for value in ["a=1, session-id=S", "a=1; c=d, sid=S; e=f, session-id=S"] {
        becomes(&format!("{{Cookie={value}, X-Kept=1, Host=h}}"), "{Cookie=[REDACTED], X-Kept=1, Host=h}");
    }
    becomes("{Authorization=Bearer S, tenant=t, Host=h}", "{Authorization=[REDACTED], tenant=t, Host=h}");
}

#[test]
fn a_header_behind_a_cookie_is_one_of_its_own() {
    becomes("Cookie=sid=1; Authorization: Bearer S", "Cookie=[REDACTED]; Authorization: [REDACTED]");
    becomes("Cookie=sid=1; token: S; b=2", "Cookie=[REDACTED]; token: [REDACTED]; b=2");
    becomes("x\nCookie: sid=S, Host: h", "x\nCookie: [REDACTED], Host: h");
}

#[test]
fn an_option_or_a_bracket_around_a_pair_is_no_part_of_it() {
    becomes("--password=S", "--password=[REDACTED]");
    becomes("[token=S]", "[token=[REDACTED]]");
    becomes(r#"{"a":"--password=S","b":"[token=S]"}"#, r#"{"a":"--password=[REDACTED]","b":"[token=[REDACTED]]"}"#);
}

#[test]
fn multipart_fields_are_named_in_any_way() {
    for head in [
        "form-data; name=password",
        "form-data;name=password",
        "form-data; filename=\"a.txt\"; name=\"password\"",
        "form-data; name=\"password\"\r\nContent-Type: text/plain",
    ] {
        let part = |value: &str| format!("--b\r\nContent-Disposition: {head}\r\n\r\n{value}\r\n--b--\r\n");
        becomes(&part("S: t\r\nu"), &part("[REDACTED]"));
        let json = |value: &str| serde_json::json!({"body": part(value)}).to_string();
        becomes(&json("S"), &json("[REDACTED]"));
    }
}

#[test]
fn names_may_have_any_characters() {
    let redactor = Redactor::new("user[password],card number,geheimnisü,$.pin,@pw,x:y".split(','));
    for name in ["user[password]", "card number", "geheimnisü", "GEHEIMNISÜ", "$.pin", "@pw", "x:y"] {
        let with = |text: &str, value: &str| text.replace('^', name).replace('~', value);
        for text in [
            r#"{"a":1,"^":"~","b":2}"#,
            r#"{"body":"{\"^\":\"~\"}"}"#,
            r#"[{"name":"^","value":"~"}]"#,
            "got ^=~ b=2",
            "got ^: ~ b",
            "^=~&b=c",
            "b=c&^=~",
            "/p?b=c&^=~",
            "Method request query string: {b=c, ^=~}",
            "{^=~}",
            "--b\n\ncontent: form-data; name=\"^\"\n\n~\n--b--",
        ] {
            becomes_with(&redactor, &with(text, "secret"), &with(text, "[REDACTED]"));
        }
    }
    for (text, expected) in [
        ("/p?user%5Bpassword%5D=S&b=c", "/p?user%5Bpassword%5D=[REDACTED]&b=c"),
        ("a=b&card+number=S", "a=b&card+number=[REDACTED]"),
        ("a=b&card%20number=S", "a=b&card%20number=[REDACTED]"),
        ("/p?geheimnis%C3%BC=S", "/p?geheimnis%C3%BC=[REDACTED]"),
        ("/p?%40pw=S&x%3Ay=S", "/p?%40pw=[REDACTED]&x%3Ay=[REDACTED]"),
        (r#"{"geheimnis\u00fc":"S"}"#, r#"{"geheimnis\u00fc":"[REDACTED]"}"#),
    ] {
        becomes_with(&redactor, text, expected);
    }
    // What a text has in quotes or behind an escape may be part of a name, too.
    let redactor = Redactor::new(["\"q\"", r"\b", "'s'", "a b c"]);
    for (text, expected) in [
        (r#"(r-1) body: {"a":1,"\"q\"":"S"}"#, r#"(r-1) body: {"a":1,"\"q\"":"[REDACTED]"}"#),
        (
            r#"[{"name":"\"q\"","value":"S"},["\\b","S"]]"#,
            r#"[{"name":"\"q\"","value":"[REDACTED]"},["\\b","[REDACTED]"]]"#,
        ),
        (r#"query string: {a=b, "q"=S}"#, r#"query string: {a=b, "q"=[REDACTED]}"#),
        (r#"got "q": S and 's'=S"#, r#"got "q": [REDACTED] and 's'=[REDACTED]"#),
        ("/p?a=b&a+b+c=S&d=e", "/p?a=b&a+b+c=[REDACTED]&d=e"),
    ] {
        becomes_with(&redactor, text, expected);
    }
    let redactor = Redactor::new("user[password],card number,geheimnisü,$.pin,@pw,x:y".split(','));
    let text = "scorecard number: 1, user[name]=a, numbers=b, /p?number=2&password_hint=c";
    assert_eq!(redactor.text(text), text);
}

#[test]
fn what_a_value_is_can_tell_it() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    becomes("https://user:S@host/a", "https://user:[REDACTED]@host/a");
    becomes(&format!(r#"{{"jwt":"{token}","n":["{token}"]}}"#), r#"{"jwt":"[REDACTED]","n":["[REDACTED]"]}"#);
    becomes(&format!("got {token} back"), "got [REDACTED] back");
    becomes(&format!("{} [TRUNCATED]", &token[..30]), "[REDACTED] [TRUNCATED]");
    becomes(
        r#"{"pem":"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"}"#,
        r#"{"pem":"-----BEGIN RSA PRIVATE KEY-----[REDACTED]-----END RSA PRIVATE KEY-----\n"}"#,
    );
    becomes("x -----BEGIN PRIVATE KEY-----\nMIIE [TRUNCATED]", "x -----BEGIN PRIVATE KEY-----[REDACTED] [TRUNCATED]");
    becomes("<a><password>S</password><b>c</b></a>", "<a><password>[REDACTED]</password><b>c</b></a>");
    becomes("<wsse:Password Type=\"t\">S</wsse:Password>", "<wsse:Password Type=\"t\">[REDACTED]</wsse:Password>");
    becomes("<a password=\"S\" b=\"c\"/>", "<a password=\"[REDACTED]\" b=\"c\"/>");
    becomes("<a><token>S<i>S</i>", "<a><token>[REDACTED]");
    becomes(
        "<a>{&quot;token&quot;:&quot;S&quot;,&quot;b&quot;:1}</a>",
        "<a>{&quot;token&quot;:&quot;[REDACTED]&quot;,&quot;b&quot;:1}</a>",
    );
    stays("Bearer <token> is expected, <password/> too: <token/>");
}

#[test]
fn a_missing_value_stays_what_it_is() {
    stays(r#"{"api_key":"-","token":"","password":null,"cookie":[],"secret":{}}"#);
    stays("{Authorization=-, Cookie=null, X-Api-Key=, Host=h}");
    stays("token=- password=null /p?token=-&key=&code=null");
    stays("<password>-</password><token></token>");
    stays(r#"[{"name":"token","value":"-"},["cookie",null]]"#);
}

#[test]
fn kinds_of_values_are_hidden_where_they_are_asked_for() {
    let kinds = ValueKind::WORDS.map(|(_, kind)| kind);
    let redactor = Redactor::new::<_, &str>([]).with_values(&kinds);
    for (text, expected) in [
        (r#"{"to":"joe@example.com","n":1}"#, r#"{"to":"[REDACTED]","n":1}"#),
        ("/u/joe%40example.com/x?e=joe%40example.com", "/u/[REDACTED]/x?e=[REDACTED]"),
        (r#"{"card":4111111111111111,"n":12}"#, r#"{"card":"[REDACTED]","n":12}"#),
        ("paid with 4111 1111 1111 1111", "paid with [REDACTED]"),
        ("from 192.0.2.7 and 2001:db8::1", "from [REDACTED] and [REDACTED]"),
        ("to DE89 3704 0044 0532 0130 00", "to [REDACTED]"),
    ] {
        becomes_with(&redactor, text, expected);
        assert_eq!(super::Redactor::new::<_, &str>([]).text(text), text);
    }
    let mut out = Vec::new();
    redactor.write_json("4111111111111111", &mut out);
    assert_eq!(out, br#""[REDACTED]""#);
}

#[test]
fn a_line_that_no_format_took_is_searched_under_the_names_of_its_format() {
    let redactor = redactor().with_format_names(["k", "my key"]);
    let line = r#"{"k":"S","n":-,"my key":"S" broken"#;
    assert_eq!(redactor.of_unparsed().text(line), r#"{"k":"[REDACTED]","n":-,"my key":"[REDACTED]" broken"#);
    assert_eq!(redactor.text(line), line);
    assert_eq!(Redactor::off().with_format_names(["k"]).of_unparsed().text(line), line);
}

const PLAIN: [&str; 40] = [
    "Authorization",
    "proxy-authorization",
    "Cookie",
    "Set-Cookie",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "authorizationToken",
    "token",
    "access_token",
    "ID_TOKEN",
    "refresh_token",
    "client_secret",
    "api_key",
    "apiKey",
    "password",
    "secret",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "session_token",
    "sessionToken",
    "auth_token",
    "auth.token",
    "x-auth-token",
    "x_access_token",
    "X-Amzn-Oidc-Data",
    "x_amzn_oidc_identity",
    "client_assertion",
    "assertion",
    "private_key",
    "secret_access_key",
    "SecretAccessKey",
    "newPassword",
    "old_password",
    "passwd",
    "pwd",
    "identityApiKey",
    "identity.apiKey",
    "context.identity.apiKey",
    "usageIdentifierKey",
    "X-Session",
];

/// What every planted secret starts with, and nothing else does.
const MARK: &str = "Zq7";

/// What stands beside planted secrets and stays.
const KEPT: &str = "kept-9";

/// A text that holds a secret under a hidden name, in one of the notations, which stands in up to three others.
fn planted() -> impl Strategy<Value = String> {
    let rest = "[A-Za-z0-9+/_.~-]{0,20}={0,2}";
    let rendered = (0..PLAIN.len(), rest, 0..22).prop_map(|(name, rest, form)| {
        let name = PLAIN[name];
        let secret = format!("{MARK}{rest}");
        match form {
            0 => format!(r#"{{"a":1,"{name}":"{secret}","b":"{KEPT}"}}"#),
            1 => format!(r#"{{"a":{{"{name}" : ["{secret}",{{"c":"{secret}"}}]}},"b":"{KEPT}"}}"#),
            2 => format!("a={KEPT}&{name}={secret}&c=d"),
            3 => format!("{name}={secret}"),
            4 => format!("https://h/p?a={KEPT}&{name}={secret}&c=d#e"),
            5 => format!("POST / HTTP/1.1\r\nHost: {KEPT}\r\n{name}: Bearer {secret}\r\nA: b"),
            6 => format!("{{Host={KEPT}, {name}=Bearer {secret}, A=b}}"),
            7 => format!("{{{name}={secret}, A={KEPT}}}"),
            8 => format!("{{'{name}': '{secret}', 'a': '{KEPT}'}}"),
            9 => format!("failed with {KEPT} {name}={secret} and more"),
            10 => format!("failed with {KEPT} {name}: {secret} and more"),
            11 => format!(r#"[{{"name":"Host","value":"{KEPT}"}},{{"name":"{name}","value":"Bearer {secret}"}}]"#),
            12 => format!(r#"{{"h":[{{"Value":"{secret}","Key":"{name}"}},{{"Value":"{KEPT}","Key":"Host"}}]}}"#),
            13 => format!(r#"[["host","{KEPT}"],["{name}","{secret}"]]"#),
            14 => format!(r#"{{"rawHeaders":["Host","{KEPT}","{name}","{secret}"]}}"#),
            15 => format!("<a><b>{KEPT}</b><{name}>{secret}</{name}></a>"),
            16 => format!(r#"<s:a b="{KEPT}"><s:{name} Type="t">{secret}</s:{name}></s:a>"#),
            17 => format!(r#"<a {name}="{secret}" b="{KEPT}"/>"#),
            18 => format!(
                "--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{secret}\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{KEPT}\r\n--b--"
            ),
            19 => format!("{{Host={KEPT}, Authorization=Scheme id=\"7\", a_key={secret}, sig=\"{secret}\", Via=v}}"),
            20 => format!("[{name}={secret}]"),
            _ => format!(r#"{{"cookies":["a={secret}","b={secret}"],"b":"{KEPT}"}}"#),
        }
    });
    rendered.prop_recursive(3, 4, 1, |inner| {
        (inner, 0..12).prop_map(|(text, wrap)| match wrap {
            0 => serde_json::json!({"n": KEPT, "body": text, "c": "d"}).to_string(),
            1 => serde_json::json!([text, "a: b", KEPT]).to_string(),
            2 => format!("https://h/?next={}&a={KEPT}", every_byte_encoded(&text)),
            3 => format!("x={KEPT}&d={}", every_byte_encoded(&text)),
            4 => format!("x=1&d={}&a={KEPT}", every_byte_encoded(&text).replace("%20", "+")),
            5 => format!("(0a-1b) Method request body: {}", serde_json::json!({"body": text})),
            6 => format!("{{Accept={KEPT}, body={text}}}"),
            7 => format!("<r><z>{KEPT}</z><body>{}</body></r>", references(&text)),
            8 => format!("<r><z>{KEPT}</z><body><![CDATA[{text}]]></body></r>"),
            9 => format!(
                "--c\r\nContent-Disposition: form-data; name=\"z\"\r\n\r\n{KEPT}\r\n--c\r\nContent-Disposition: form-data; name=\"d\"\r\n\r\n{text}\r\n--c--"
            ),
            10 => serde_json::json!([{"name": "z", "value": KEPT}, {"name": "body", "value": text}]).to_string(),
            _ => format!("z={KEPT} msg={}", serde_json::json!(text)),
        })
    })
}

fn references(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn every_byte_encoded(text: &str) -> String {
    let encode =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// A text of the pieces that the search looks for, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "token",
        "password",
        "Cookie",
        "Authorization",
        "code",
        "name",
        "form-data; ",
        "=",
        ":",
        "\"",
        "'",
        "\\",
        "\\\"",
        "\\u0022",
        "\\u003d",
        "%3D",
        "%253A",
        "%22",
        "%",
        "{",
        "}",
        "[",
        "]",
        ",",
        ", ",
        " ",
        "&",
        "?",
        ";",
        "\n",
        "\r\n\r\n",
        "a",
        "é",
        "1",
        "Bearer ",
        "null",
        "query string: {",
        "queryStringParameters",
        "[REDACTED]",
        " [TRUNCATED]",
        "--",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_secret_is_left_of_any_text_cut_anywhere(text in planted(), cut in any::<prop::sample::Index>(), marked in any::<bool>()) {
        let end = cut.index(2 * text.len()).min(text.len());
        let cut = format!("{}{}", &text[..end], if marked { TRUNCATED } else { "" });
        let redacted = redactor().text(&cut).into_owned();
        prop_assert!(!redacted.contains(MARK), "{cut}\nbecame\n{redacted}");
    }

    #[test]
    fn what_stands_beside_a_secret_stays(text in planted()) {
        let redacted = redactor().text(&text).into_owned();
        prop_assert!(!redacted.contains(MARK), "{text}\nbecame\n{redacted}");
        prop_assert_eq!(redacted.matches(KEPT).count(), text.matches(KEPT).count(), "{}\nbecame\n{}", text, redacted);
        prop_assert_eq!(redactor().text(&redacted), redacted.as_str(), "a second time");
    }

    #[test]
    fn no_secret_is_left_behind_any_text(before in pieces(), gap in prop::sample::select(vec![" ", "\n", "&", "; ", ", "]), text in planted()) {

        let text = format!("{before}{gap}{text}");
        let redacted = redactor().text(&text).into_owned();
        prop_assert!(!redacted.contains(MARK), "{text}\nbecame\n{redacted}");
    }

    #[test]
    fn json_stays_json_and_its_other_members_stay(text in planted()) {
        let json = serde_json::json!({"n": 1, "t": text, "z": {"code": "1", "b": ["a=b", "c: d"]}}).to_string();
        let redacted: serde_json::Value = serde_json::from_str(&redactor().text(&json)).expect("JSON");
        prop_assert_eq!(&redacted["n"], 1);
        prop_assert_eq!(&redacted["z"], &serde_json::json!({"code": "1", "b": ["a=b", "c: d"]}));
        let mut out = Vec::new();
        redactor().write_json(&json, &mut out);
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).ok(), Some(redacted));
    }

    #[test]
    fn json_of_any_strings_stays_json(key in pieces(), text in pieces()) {
        let json = serde_json::json!({"a": [{key: text.as_str()}, &text], "b": 1}).to_string();
        let redacted = redactor().text(&json).into_owned();
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&redacted).is_ok(), "{json}\nbecame\n{redacted}");
    }

    #[test]
    fn a_second_time_changes_nothing(text in pieces()) {
        let once = redactor().text(&text).into_owned();
        prop_assert_eq!(redactor().text(&once), once.as_str(), "of {}", text);
    }

    #[test]
    fn any_text_is_taken(text in any::<String>(), json in any::<String>()) {
        let _text = redactor().text(&text);
        redactor().write_json(&json, &mut Vec::new());
    }

    #[test]
    fn off_changes_nothing(text in pieces()) {
        prop_assert_eq!(Redactor::off().text(&text), text.as_str());
    }
}
