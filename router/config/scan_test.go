package config

import (
	"strings"
	"testing"
)

// everyForm has each way to write a key and a value.
const everyForm = `# comment = "no"
bare-key_1 = 1 # [not.a.table]
"quoted \" key".'literal "key' . x = true
a . b.c = "text # no comment \" still \\"
[ table . "with.dot" ] # header
literal = 'C:\no\escapes\'
long = """
several "lines" ""of \""" text \
  = [no]
"""
long2 = """"two quotes""""" 
long3 = '''
' '' # it's = text
''''
empty = [ ]
empty2 = { }
empty3 = ""
empty4 = ''
empty5 = """"""
date = 1979-05-27 07:32:28.5Z # UTC
float=-1_000.5e+3
hex=0xDEAD_beef
list = [ "a", 'b,]', # comment ]
   [1, 2,], { x = 1, "y" = [3] }, """multi
   line""", 07:32:00
  ,]
inline = { a.b = 1, c = { d = "}" }, "e f" = 'g' }
[[array]]
k = 1
[[ array ]]
k = 2
[array.sub]
k = 3
last = inf`

func TestScanEveryForm(t *testing.T) {
	for _, text := range []string{everyForm, strings.ReplaceAll(everyForm, "\n", "\r\n")} {
		if _, err := decodeTOML(text, new(map[string]any)); err != nil {
			t.Fatal(err) // or nothing would be compared
		}
		checkScan(t, text)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(everyForm)
	for _, form := range strings.Split(everyForm, "\n") {
		f.Add(form)
	}
	f.Add("a = \"\"\"\n\"\"\"\"\"")
	f.Add("a = [\n1 # x\n, # y\n2]")
	f.Add("[a]\n[a.b]\nx.y.z = {}\n[[a.c]]")
	f.Fuzz(checkScan)
}

// checkScan compares the scanner with the decoder, for text that is TOML.
func checkScan(t *testing.T, text string) {
	text = strings.TrimPrefix(text, bom)
	var root map[string]any
	meta, err := decodeTOML(text, &root)
	if err != nil {
		return
	}
	d := &document{root: root}
	keys, mentions := meta.Keys(), scan(text)
	if len(keys) != len(mentions) {
		t.Fatalf("%d keys, %d mentions\n%q", len(keys), len(mentions), keys)
	}
	for i, key := range keys {
		m := mentions[i]
		if len(m.parts) > len(key) {
			t.Fatalf("%v has %d parts", key, len(m.parts))
		}
		for j, part := range key[len(key)-len(m.parts):] {
			if rest := text[m.parts[j]:]; !strings.HasPrefix(rest, part) && !strings.HasPrefix(rest, `"`) && !strings.HasPrefix(rest, `'`) {
				t.Errorf("part %q of %v is expected at %.20q", part, key, rest)
			}
		}
		if m.value >= 0 {
			checkValue(t, text[m.value:], d.valueAt(key), len(m.items))
		} else if text[m.start] != '[' {
			t.Errorf("the header of %v is expected at %.20q", key, text[m.start:])
		}
	}
}

// checkValue compares how a value begins with what it is. Nil is one that
// cannot be told, because it is in an array.
func checkValue(t *testing.T, text string, v any, items int) {
	first := text[:1]
	ok := true
	switch v := v.(type) {
	case string:
		ok = first == `"` || first == `'`
	case map[string]any: // or what the decoder leaves out, see document.locate
	case []any:
		ok = first == "[" && items == len(v)
	case int64, float64:
		ok = strings.Contains("+-0123456789in", first)
	case bool:
		ok = first == "t" || first == "f"
	}
	if !ok {
		t.Errorf("%v, with %d items, is expected at %.20q", v, items, text)
	}
}
