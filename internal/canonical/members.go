package canonical

// Members reads an object as strictly as [Parse] and returns the text of each member, so that a
// value keeps every character of its own. Each member may be as deep as a whole text for [Parse].
//
// The texts share nothing with data. Every error is an [*Error].
func Members(data []byte) (map[string][]byte, error) {
	p := parser{text: string(data)}
	members, err := p.members()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.text) {
		return nil, p.unexpected("after the object")
	}
	return members, nil
}

func (p *parser) members() (map[string][]byte, *Error) {
	if !p.skipTo('{') {
		return nil, p.unexpected("where an object begins")
	}
	members := make(map[string][]byte)
	for !p.skipTo('}') {
		if len(members) > 0 && !p.skipTo(',') {
			return nil, p.unexpected("after a member of an object")
		}
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if _, ok := members[name]; ok {
			return nil, (&Error{Reason: "there are two members of this name"}).in(name)
		}
		start := p.pos
		if _, err := p.value(p.outer); err != nil {
			return nil, err.in(name)
		}
		members[name] = []byte(p.text[start:p.pos])
	}
	return members, nil
}
