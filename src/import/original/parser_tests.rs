use super::*;

fn parse(text: &str) -> Result<Value, Fault> {
    returned(format!("<?php\n{text}").as_bytes()).map(|located| located.value)
}

/// A value as PHP's own short form would print it.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) => format!("'{}'", lossy(text)),
        Value::Unknown(what) => format!("<{what}>"),
        Value::List(list) => {
            let entry = |(key, value): &(Key, Located)| match key {
                Key::Int(number) => format!("{number}:{}", show(&value.value)),
                Key::Text(text) => format!("{}:{}", lossy(text), show(&value.value)),
            };
            format!("[{}]", list.entries().iter().map(entry).collect::<Vec<_>>().join(" "))
        }
    }
}

#[test]
fn arrays_are_read_as_php_reads_them() {
    let cases = [
        ("return array();", "[]"),
        ("return array(1, 2,);", "[0:1 1:2]"),
        ("return [1, 'a' => [2], 3];", "[0:1 a:[0:2] 1:3]"),
        ("return array(5 => 'a', 'b', '7' => 'c', 'd', '07' => 'e');", "[5:'a' 6:'b' 7:'c' 8:'d' 07:'e']"),
        ("return array('a' => 1, 'b' => 2, 'a' => 3);", "[a:3 b:2]"),
        ("return array(-1 => -2.5, 'x' => +3);", "[-1:-2.5 x:3]"),
        ("return array(TRUE, False, NULL);", "[0:true 1:false 2:null]"),
        ("return ('a' . \"b\" . 3);", "'ab3'"),
        ("return Array /* x */ (\n'k' // y\n => # z\n 'v');", "[k:'v']"),
        ("return [9223372036854775807 => 1];", "[9223372036854775807:1]"),
    ];
    for (text, expected) in cases {
        assert_eq!(
            show(&parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))),
            expected,
            "{text}"
        );
    }
}

#[test]
fn names_stand_for_what_they_were_set_to() {
    let cases = [
        ("define('PORT', 80); return array('h:' . PORT, X);", "[0:'h:80' 1:<the constant X>]"),
        ("const A = 'x'; $b = A . 'y'; return $b;", "'xy'"),
        (
            "$n[] = array('u' => 'a'); $n[] = ['u' => 'b']; return ['nodes' => $n];",
            "[nodes:[0:[u:'a'] 1:[u:'b']]]",
        ),
        ("$c['data'][0]['r'] = 2; $c['data'][0]['r'] = 3; return $c;", "[data:[0:[r:3]]]"),
        ("$c = ['a' => ['b' => 7]]; return $c['a']['b'];", "7"),
        ("return dirname(__FILE__) . '/data';", "<what dirname() returns>"),
        (
            "return [sys_get_temp_dir(), \"a $b\", __DIR__];",
            "[0:<what sys_get_temp_dir() returns> 1:<a text with variables in it> 2:<the constant __DIR__>]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            show(&parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))),
            expected,
            "{text}"
        );
    }
}

#[test]
fn what_would_have_to_be_run_is_refused_with_its_line() {
    let cases = [
        ("", 2, "without `return`"),
        ("for ($n = 0; $n < 3; $n++) {}", 2, "`for` is not understood"),
        ("\nrequire 'other.php';", 3, "`require` is not understood"),
        ("return require 'other.php';", 2, "write the array out"),
        ("return array(1 => 2 * 3);", 2, "`*` stands where a comma"),
        ("return array(1\n 2);", 3, "a number stands where a comma"),
        ("return array('a' =>);", 2, "`)` stands where a value"),
        ("return array(1", 2, "the end of the file"),
        ("return array(1)", 2, "stands where `;` is wanted"),
        ("return $x;", 2, "$x has no value"),
        ("return array(array() => 1);", 2, "an array; write a text"),
        ("return -'a';", 2, "a sign stands before a text"),
        ("$a = 1; $a['b'] = 2; return $a;", 2, "no array"),
        ("define(X, 1); return 1;", 2, "in quotes"),
        ("const = 1;", 2, "name of a constant"),
    ];
    for (text, line, expected) in cases {
        let fault = parse(text).expect_err(text);
        assert!(fault.reason.contains(expected) && fault.line == line, "{text}: {fault:?}");
    }
}

#[test]
fn depth_and_size_are_bounded_however_they_come_about() {
    let deep = format!("return {}1{};", "[".repeat(10_000), "]".repeat(10_000));
    assert!(parse(&deep).unwrap_err().reason.contains("deep"));
    let deep = format!("return {}1{};", "(".repeat(10_000), ")".repeat(10_000));
    assert!(parse(&deep).unwrap_err().reason.contains("deep"));
    let deep = format!("return {}1;", "-".repeat(10_000));
    assert!(parse(&deep).unwrap_err().reason.contains("deep"));
    let deep = format!("$a = 1; {} return $a;", "$a = [$a];".repeat(10_000));
    assert!(parse(&deep).unwrap_err().reason.contains("deep"));
    let deep = format!("$a{} = 1; return $a;", "[1]".repeat(10_000));
    assert!(parse(&deep).unwrap_err().reason.contains("deep"));
    let deep = format!("$a = [1]; {} return $a;", "$a[] = $a;".repeat(10_000));
    assert!(parse(&deep).is_err());
    let wide = format!("$a = 1; {} return $a;", "$a = [$a, $a, $a];".repeat(50));
    assert!(parse(&wide).unwrap_err().reason.contains("too large"));
    let long = format!("$a = 'abc'; {} return $a;", "$a = $a . $a;".repeat(50));
    assert!(parse(&long).unwrap_err().reason.contains("too large"));
}
