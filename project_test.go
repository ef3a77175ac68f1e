package webhooks_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
)

// What holds of the project as a whole: its README, its public interface, what it depends on, how
// its files are laid out and written.

var update = flag.Bool("update", false, "write the golden files of testdata/api anew")

const module = "github.com/softwareheritage/webhooks"

// A fence is a fenced block of the README.
type fence struct {
	info, text string
	line       int
}

// fences are the fenced blocks of the README, in their order.
func fences(t *testing.T) []fence {
	t.Helper()
	var found []fence
	inside := false
	for i, line := range strings.SplitAfter(readFile(t, "README.md"), "\n") {
		info, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case !isFence && inside:
			found[len(found)-1].text += line
		case isFence && inside && info != "":
			t.Fatalf("README.md:%d: the block of line %d is not closed", i+1, found[len(found)-1].line)
		case isFence && inside:
			inside = false
		case isFence:
			inside = true
			found = append(found, fence{info: info, line: i + 1})
		}
	}
	if inside {
		t.Fatalf("README.md:%d: the block is not closed", found[len(found)-1].line)
	}
	return found
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name) //nolint:gosec // a file of the project
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadme compares each block of the README with what it shows.
func TestReadme(t *testing.T) {
	t.Parallel()
	checks := map[string]func(t *testing.T, text string){
		"go":      compile,
		"yaml":    loads,
		"console": isSession,
		"mermaid": isPicture,
	}
	seen := map[string]bool{}
	for _, block := range fences(t) {
		seen[block.info] = true
		check, known := checks[block.info]
		if !known {
			t.Errorf("README.md:%d: nothing is known of blocks that begin with ```%s", block.line, block.info)
			continue
		}
		t.Run(fmt.Sprintf("line %d", block.line), func(t *testing.T) {
			t.Parallel()
			check(t, block.text)
		})
	}
	for info := range checks {
		if !seen[info] {
			t.Errorf("the README has no block of %s", info)
		}
	}
}

// compile builds a Go file as if it were a package of this module.
func compile(t *testing.T, source string) {
	t.Helper()
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "readme_test.go"), filepath.Join(dir, "overlay.json")
	here, err := filepath.Abs("readme")
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "readme_test.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{file: []byte(source), overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goCommand(t, "test", "-vet=off", "-c", "-o", filepath.Join(dir, "out"), "-overlay", overlay, "./readme")
}

// goCommand runs the go command and returns the lines that it prints.
func goCommand(t *testing.T, args ...string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // no input but the project's
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return strings.Fields(string(out))
}

// loads wants a configuration file that a client can be made of.
func loads(t *testing.T, text string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := webhooks.LoadConfig(name)
	if err == nil {
		_, err = webhooks.NewClient(webhooks.WithConfig(cfg))
	}
	if err != nil {
		t.Error(err)
	}
}

// isSession wants a session of the command line that a test of the command has run.
func isSession(t *testing.T, text string) {
	t.Helper()
	const pattern = "cmd/swh-webhooks/testdata/session*.txt"
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(readFile(t, name), text) }) {
		t.Errorf("the session is in no file %s, which are those that were run", pattern)
	}
}

// isPicture wants each package of the project in a box, and arrows for imports only.
func isPicture(t *testing.T, text string) {
	t.Helper()
	imports := packageImports(t)
	boxes := map[string][]string{} // the packages in it, by the name of the box
	drawn := map[string]bool{}
	for _, box := range regexp.MustCompile(`\b(\w+)\["([^"]+)"\]`).FindAllStringSubmatch(text, -1) {
		boxes[box[1]] = strings.Split(box[2], "<br>")
		for _, name := range boxes[box[1]] {
			drawn[name] = true
			if imports[name] == nil {
				t.Errorf("the picture in the README shows %s, and there is no such package", name)
			}
		}
	}
	for name := range imports {
		if !drawn[name] {
			t.Errorf("the picture in the README does not show the package %s: put it in a box", name)
		}
	}
	arrows := regexp.MustCompile(`(?m)^\s*(\w+) --> ([\w &]+)$`)
	for _, arrow := range arrows.FindAllStringSubmatch(text, -1) {
		for to := range strings.SplitSeq(arrow[2], " & ") {
			if !slices.ContainsFunc(boxes[arrow[1]], func(from string) bool {
				return slices.ContainsFunc(boxes[to], func(to string) bool { return imports[from][to] })
			}) {
				t.Errorf("the picture in the README has an arrow from %s to %s, and no such import", arrow[1], to)
			}
		}
	}
}

// packageImports are the folders of the project's packages, those of the modules below it included,
// with what each imports of the others.
func packageImports(t *testing.T) map[string]map[string]bool {
	t.Helper()
	packages := map[string]map[string]bool{}
	for name, file := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		from := cmp.Or(strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "."), "webhooks")
		if packages[from] == nil {
			packages[from] = map[string]bool{}
		}
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if path == module {
				packages[from]["webhooks"] = true
			} else if below, ok := strings.CutPrefix(path, module+"/"); ok {
				packages[from][below] = true
			}
		}
	}
	return packages
}

// goFiles are all Go files of the project by name, with their comments.
func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		files[filepath.ToSlash(name)], err = parser.ParseFile(fset, name, nil, parser.ParseComments)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestReadmeNamesTests: each test, fuzz target and benchmark that the README names is there.
func TestReadmeNamesTests(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, file := range goFiles(t) {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				exists[f.Name.Name] = true
			}
		}
	}
	for _, name := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`").FindAllStringSubmatch(readFile(t,
		"README.md"), -1) {
		if !exists[name[1]] {
			t.Errorf("the README names %s, which does not exist", name[1])
		}
	}
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff(strings.Split(readFile(t, name), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s is not what there is now (-file +now):\n%s\nIf that is meant: go test -run '^%s$' . -update",
			name, diff, strings.Split(t.Name(), "/")[0])
	}
}

// TestPublicInterface compares the exported names and their signatures with the golden files, so
// that a review sees each change of them.
func TestPublicInterface(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"webhooks": ".", "webhookstest": "webhookstest", "journal": "journal"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkGolden(t, filepath.Join("testdata", "api", name+".txt"), publicInterface(t, dir))
		})
	}
}

// publicInterface are the exported declarations of a package, sorted, without comments.
func publicInterface(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var decls []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(file)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && !isExported(f.Recv.List[0].Type) {
				continue
			}
			decls = append(decls, declarations(t, decl)...)
		}
	}
	slices.Sort(decls)
	return strings.Join(decls, "\n") + "\n"
}

// isExported tells whether the type of a receiver is exported.
func isExported(receiver ast.Expr) bool {
	switch r := receiver.(type) {
	case *ast.StarExpr:
		return isExported(r.X)
	case *ast.IndexExpr:
		return isExported(r.X)
	case *ast.Ident:
		return r.IsExported()
	}
	return false
}

// declarations are the texts of what a declaration declares, one for each specification.
func declarations(t *testing.T, decl ast.Decl) []string {
	t.Helper()
	var nodes []any
	switch d := decl.(type) {
	case *ast.FuncDecl:
		d.Body = nil
		nodes = append(nodes, d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ImportSpec:
				continue
			case *ast.ValueSpec:
				if d.Tok == token.VAR {
					s.Values = nil
				}
			}
			nodes = append(nodes, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}})
		}
	}
	var texts []string
	for _, node := range nodes {
		var text bytes.Buffer
		if err := printer.Fprint(&text, token.NewFileSet(), node); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text.String())
	}
	return texts
}

// TestDependencies: who imports the library, or tests with it, gets nothing but these modules.
func TestDependencies(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`twmb|tinylib|cobra|prometheus|opentelemetry|progressbar|kafka`)
	var list strings.Builder
	for _, dir := range []string{".", "./webhookstest"} {
		modules := goCommand(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", dir)
		slices.Sort(modules)
		fmt.Fprintf(&list, "%s\n\t%s\n", dir, strings.Join(slices.Compact(modules), "\n\t"))
	}
	for _, module := range forbidden.FindAllString(list.String(), -1) {
		t.Errorf("%s is among the dependencies; it has its place in another package", module)
	}
	checkGolden(t, filepath.Join("testdata", "api", "dependencies.txt"), list.String())
}

// TestLinksLead: what the pages link to in the project is there.
func TestLinksLead(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^):#]*)(?:#([\w-]+))?\)`).FindAllStringSubmatch(readFile(t,
			page), -1) {
			target := cmp.Or(link[1], page)
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
			} else if link[2] != "" && !slices.Contains(anchors(readFile(t, target)), link[2]) {
				t.Errorf("%s links to #%s of %s, which has no such heading", page, link[2], target)
			}
		}
	}
}

// anchors are the names under which headings of a page can be linked to.
func anchors(page string) []string {
	var names []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

// TestLayout: each file of the root package has one noun and at most one twin.
func TestLayout(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		base, isTest := strings.CutSuffix(name, "_test.go")
		if isTest && !slices.Contains([]string{"bench", "example", "fuzz", "harness", "project"}, base) &&
			!slices.Contains(files, base+".go") {
			t.Errorf("%s is the twin of no file", name)
		}
		if lines := strings.Count(readFile(t, name), "\n"); !isTest && lines >= 450 {
			t.Errorf("%s has %d lines, want fewer than 450", name, lines)
		}
	}
}

// texts are the lines of all files that people write and read, by name.
func texts(t *testing.T) map[string][]string {
	t.Helper()
	lines := map[string][]string{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git") {
			return fs.SkipDir
		}
		switch {
		case entry.IsDir() || name == "go.sum":
			return nil
		case slices.Contains([]string{".go", ".md", ".yml", ".yaml", ".html", ".css", ".js", ".mod", ""},
			filepath.Ext(name)):
			lines[filepath.ToSlash(name)] = strings.Split(readFile(t, name), "\n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestNothingIsCitedThatIsNotHere: what a text or the name of a test refers to is in the project.
func TestNothingIsCitedThatIsNotHere(t *testing.T) {
	t.Parallel()
	elsewhere := regexp.MustCompile(`design\.md|behaviour\.md|svix-contrac[t]|sdk-note[s]|\.\./shared`)
	numbered := regexp.MustCompile(`^func (Test|Fuzz|Benchmark|Example)[A-Za-z_]*[0-9]{2}`)
	for name, lines := range texts(t) {
		for i, line := range lines {
			if elsewhere.MatchString(line) {
				t.Errorf("%s:%d cites a document that its readers do not have: %s", name, i+1, line)
			}
			if numbered.MatchString(line) {
				t.Errorf("%s:%d names a test by a number: %s", name, i+1, line)
			}
		}
	}
}

// TestCommentsWrap at 100 columns, tabs being four wide. How wide code may be is the linter's.
func TestCommentsWrap(t *testing.T) {
	t.Parallel()
	const columns = 100
	for name, lines := range texts(t) {
		if filepath.Ext(name) != ".go" {
			continue
		}
		printed := false // the output of an example is as wide as it is
		for i, line := range lines {
			text := strings.TrimSpace(line)
			printed = text == "// Output:" || printed && line != "}"
			wide := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")) > columns
			if wide && !printed && strings.HasPrefix(text, "// ") && !strings.Contains(text, "://") {
				t.Errorf("%s:%d: the comment is wider than %d columns", name, i+1, columns)
			}
		}
	}
}
