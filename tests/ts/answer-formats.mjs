// SPDX-License-Identifier: Apache-2.0
// answer-formats.mjs: calls in the formats of model families, for the tests. ⟦x⟧ is the control token x.

export const weather = (args = { city: 'Paris' }) => ({ call: 'get_weather', arguments: args });
export const add = { call: 'add', arguments: { a: 1, b: -2.5 } };
export const now = { call: 'now', arguments: {} };
export const all = {
  city: 'a "b"\n\\c é😀',
  days: 3,
  metric: true,
  places: ['x', 'y'],
  any: { a: [null, 1.5, 'z'] },
};

/**
 * Each format: `template`, what its templates have; `weather`, `add`, `now`, `all`: texts of the calls above;
 * `rows`: further texts, and what is read from them; `between`: what may stand between two calls.
 */
export const formats = {
  hermes: {
    template:
      '{% if tools %}<tools>{{ tools }}</tools> <tool_call>{"name": ..., "arguments": ...}</tool_call>{% endif %}',
    weather: '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    add: '<tool_call>{"name":"add","arguments":{"a":1,"b":-2.5}}</tool_call>',
    now: '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
    all: `<tool_call>${JSON.stringify({ name: 'get_weather', arguments: all })}</tool_call>`,
    rows: [
      ['<tool_call>{"name":"now"}<tool_call>{"name":"now"}', [now, now]],
      [
        '<tool_call>{"id": "x", "type": "function", "function": {"name": "now", "arguments": {}}}</tool_call>',
        [{ ...now, id: 'x' }],
      ],
      [
        '<tool_call>{"function": {"name": "then", "arguments": {}}}</tool_call>',
        [{ content: '<tool_call>{"function": {"name": "then", "arguments": {}}}</tool_call>' }],
      ],
    ],
  },
  qwen3_coder: {
    template:
      '{{ tools }} <tool_call>\n<function=name>\n<parameter=a>\nvalue\n</parameter>\n</function>\n</tool_call>',
    weather:
      '<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>',
    add: '<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n-2.5\n</parameter>\n</function>\n</tool_call>',
    now: '<tool_call>\n<function=now>\n</function>\n</tool_call>',
    all: `<tool_call><function=get_weather>
<parameter=city>
a "b"
\\c é😀
</parameter>
<parameter=days>
3
</parameter>
<parameter=metric>
True
</parameter>
<parameter=places>
["x",
"y"]
</parameter>
<parameter=any>
{"a": [null, 1.5, "z"]}
</parameter>
</function></tool_call>`,
    rows: [
      ['<function=now>\n</function>\n</tool_call>', [now]],
      [
        'Well.\n<function=now></function>\n<tool_call><function=now></function></tool_call>',
        [{ content: 'Well.' }, now, now],
      ],
      ['<function=now></function><function=now></function>', [now, now]],
      ['<function=get_weather>{"city": "Paris"}</function>', [weather()]],
      // One line end on each side belongs to the tags.
      [
        '<function=get_weather><parameter=city>\n\n  x </para\n\n</parameter></function>',
        [weather({ city: '\n  x </para\n' })],
      ],
      ['<function=get_weather><parameter=city>x\n</parameter></function>', [weather({ city: 'x\n' })]],
      ['<function=get_weather><parameter=city>\n</parameter></function>', [weather({ city: '' })]],
      ['<function=get_weather><parameter=city>\n12\n</parameter></function>', [weather({ city: '12' })]],
      ['<function=get_weather><parameter=city>\nnull\n</parameter></function>', [weather({ city: 'null' })]],
      ['<function=get_weather><parameter=days>\nmany\n</parameter></function>', [weather({ days: 'many' })]],
      [
        '<function=get_weather><parameter=any>\n toString\n</parameter></function>',
        [weather({ any: ' toString' })],
      ],
      ['<function=get_weather><parameter=else>\n[1]\n</parameter></function>', [weather({ else: [1] })]],
      [
        '<function=get_weather><parameter=__proto__>\n1\n</parameter></function>',
        [{ ...weather(), arguments: '{"__proto__":1}' }],
      ],
      // Text in the value is text.
      [
        '<tool_call><function=get_weather><parameter=city>\n</function></tool_call><tool_call>\n</parameter></function></tool_call>',
        [weather({ city: '</function></tool_call><tool_call>' })],
      ],
      ['<function=now>, a tag', [{ content: '<function=now>, a tag' }]],
      ['a <function=now', [{ content: 'a <function=now' }]],
      ['<tool_call><function=now> <parameter', [{ content: '<tool_call><function=now> <parameter' }]],
      // A string streams. What breaks off is the beginning of JSON.
      ['<function=get_weather><parameter=city>\nPar\n', [{ call: 'get_weather', arguments: '{"city":"Par' }]],
      [
        '<function=get_weather><parameter=days>\n3\n</parameter> and',
        [{ call: 'get_weather', arguments: '{"days":3' }, { content: 'and' }],
      ],
    ],
  },
  seed_oss: {
    template: '{{ tools }} <seed:tool_call><function=f><parameter=a></parameter></function></seed:tool_call>',
    weather:
      '<seed:tool_call>\n<function=get_weather>\n<parameter=city>Paris</parameter>\n</function>\n</seed:tool_call>',
    add: '<seed:tool_call><function=add><parameter=a>1</parameter><parameter=b>-2.5</parameter></function></seed:tool_call>',
    now: '<seed:tool_call>\n<function=now>\n</function>\n</seed:tool_call>',
  },
  minimax_m2: {
    template: "{% if tools %}{% set begin = '<minimax:tool_call>' %}{% endif %}",
    weather:
      '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\n</minimax:tool_call>',
    add: '<minimax:tool_call>\n<invoke name="add">\n<parameter name="a">1</parameter>\n<parameter name="b">-2.5</parameter>\n</invoke>\n</minimax:tool_call>',
    now: '<minimax:tool_call>\n<invoke name="now">\n</invoke>\n</minimax:tool_call>',
    rows: [
      [
        '<minimax:tool_call>\n<invoke name="now">\n</invoke>\n<invoke name=now></invoke>\n</minimax:tool_call>',
        [now, now],
      ],
    ],
  },
  deepseek_v32: {
    template: "{% if tools %}{% set mark = '｜DSML｜' %}{% endif %}",
    weather:
      '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    add: '<｜DSML｜function_calls>\n<｜DSML｜invoke name="add">\n<｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter>\n<｜DSML｜parameter name="b" string="false">-2.5</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    now: '<｜DSML｜function_calls>\n<｜DSML｜invoke name="now">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    rows: [
      [
        '<｜DSML｜function_calls><｜DSML｜invoke name="get_weather"><｜DSML｜parameter name="days" string="true">3</｜DSML｜parameter><｜DSML｜parameter name="any" string="false">3</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>',
        [weather({ days: '3', any: 3 })],
      ],
    ],
  },
  glm: {
    template:
      '{{ tools }} <tool_call>{name}\n<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n</tool_call>',
    weather: '<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>',
    add: '<tool_call>add<arg_key>a</arg_key><arg_value>1</arg_value><arg_key>b</arg_key><arg_value>-2.5</arg_value></tool_call>',
    now: '<tool_call>now\n</tool_call>',
    rows: [
      ['<tool_call>now</tool_call>', [now]],
      [
        '<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>x </think> <tool_call>\ny</arg_value>\n</tool_call>',
        [weather({ city: 'x </think> <tool_call>\ny' })],
      ],
      ['<tool_call>now and then', [{ content: '<tool_call>now and then' }]],
    ],
  },
  llama3: {
    template:
      '{% if tools %}Respond in the format {"name": function name, "parameters": dictionary}.{% endif %}\'<|python_tag|>\'',
    isWhole: true,
    weather: '{"name": "get_weather", "parameters": {"city": "Paris"}}',
    add: '{"type": "function", "name": "add", "parameters": {"a": 1, "b": -2.5}}',
    now: '{"name": "now", "parameters": {}}',
    all: JSON.stringify({ name: 'get_weather', parameters: all }),
    between: '; ',
    rows: [
      ['⟦<|python_tag|>⟧{"name": "get_weather", "parameters": {"city": "Paris"}}', [weather()]],
      ['⟦<|python_tag|>⟧{"name": "now"}', [now]],
      ['⟦<|python_tag|>⟧get_weather.call(city="Paris")', [weather()]],
      ['Hm. ⟦<|python_tag|>⟧get_weather(city="Paris")', [{ content: 'Hm.' }, weather()]],
      ['[get_weather(city="Paris"), now()]', [weather(), now]],
      ['⟦<|python_start|>⟧[get_weather(city="Paris")]⟦<|python_end|>⟧', [weather()]],
      ['⟦<|python_start|>⟧⟦<|python_end|>⟧{"name": "now", "parameters": {}}', [now]],
      ['\n{"name": "now", "parameters": {}}\n', [now]],
      ['[{"name": "now", "parameters": {}}]', [now]],
      // Text.
      ['<|python_tag|>{"name": "now"}', [{ content: '<|python_tag|>{"name": "now"}' }]],
      ['Use {"name": "now", "parameters": {}}', [{ content: 'Use {"name": "now", "parameters": {}}' }]],
      ['{"name": "Bob", "age": 5}', [{ content: '{"name": "Bob", "age": 5}' }]],
      ['{"name": "now"}', [{ content: '{"name": "now"}' }]],
      [
        '{"items": [1], "name": "now", "parameters": {}}',
        [{ content: '{"items": [1], "name": "now", "parameters": {}}' }],
      ],
      ['[1] is a reference. {', [{ content: '[1] is a reference. {' }]],
      ['[now] is a link', [{ content: '[now] is a link' }]],
      ['⟦<|python_tag|>⟧print("hi")', [{ content: '<|python_tag|>print("hi")' }]],
    ],
  },
  mistral: {
    template: '{% if tools %}[AVAILABLE_TOOLS]{{ tools }}{% endif %}[TOOL_CALLS]{% if id|length != 9 %}',
    weather: '⟦[TOOL_CALLS]⟧[{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "123456789"}]',
    add: '⟦[TOOL_CALLS]⟧add⟦[ARGS]⟧{"a": 1, "b": -2.5}',
    now: '⟦[TOOL_CALLS]⟧now{}',
    all: `⟦[TOOL_CALLS]⟧ ${JSON.stringify([{ name: 'get_weather', arguments: all }])}`,
    rows: [
      ['⟦[TOOL_CALLS]⟧[{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]', [now, now]],
      [
        '⟦[TOOL_CALLS]⟧now⟦[CALL_ID]⟧123456789⟦[ARGS]⟧{}⟦[TOOL_CALLS]⟧now⟦[CALL_ID]⟧abcdefghi⟦[ARGS]⟧{}',
        [
          { ...now, id: '123456789' },
          { ...now, id: 'abcdefghi' },
        ],
      ],
      ['⟦[TOOL_CALLS]⟧[{"id": "abc123def", "name": "now", "arguments": {}}]', [{ ...now, id: 'abc123def' }]],
      ['⟦[TOOL_CALLS]⟧then⟦[ARGS]⟧{}', [{ content: '[TOOL_CALLS]then[ARGS]{}' }]],
      ['[TOOL_CALLS]now[ARGS]{}', [{ content: '[TOOL_CALLS]now[ARGS]{}' }]],
      [
        '[TOOL_CALLS] [{"name": "now", "arguments": {}}]',
        [{ content: '[TOOL_CALLS] [{"name": "now", "arguments": {}}]' }],
      ],
    ],
  },
  lfm2: {
    template: "{% if tools %}'<|tool_list_start|>'{% endif %}",
    weather: '⟦<|tool_call_start|>⟧[get_weather(city="Paris")]⟦<|tool_call_end|>⟧',
    add: '⟦<|tool_call_start|>⟧[add(a=1, b=-2.5)]⟦<|tool_call_end|>⟧',
    now: '⟦<|tool_call_start|>⟧[now()]⟦<|tool_call_end|>⟧',
    all: `⟦<|tool_call_start|>⟧[get_weather(city='a "b"\\n\\\\c \\xe9\\U0001F600', days=3, metric=True, places=("x", "y",), any={"a": [None, 1.5, 'z']})]⟦<|tool_call_end|>⟧`,
    rows: [
      ['⟦<|tool_call_start|>⟧[ now( ) , add( a = 1 , b=-2.50 ) ]⟦<|tool_call_end|>⟧', [now, add]],
      ['⟦<|tool_call_start|>⟧[add(a=.5, b=1_000)]', [{ call: 'add', arguments: { a: 0.5, b: 1000 } }]],
      ['⟦<|tool_call_start|>⟧[{"name": "now", "arguments": {}}]⟦<|tool_call_end|>⟧', [now]],
      [
        '⟦<|tool_call_start|>⟧[get_weather("Paris")]',
        [{ content: '<|tool_call_start|>[get_weather("Paris")]' }],
      ],
      [
        '<|tool_call_start|>[now()]<|tool_call_end|>',
        [{ content: '<|tool_call_start|>[now()]<|tool_call_end|>' }],
      ],
      ['⟦<|tool_call_start|>⟧[get_weather(city="Par', [{ call: 'get_weather', arguments: '{"city":"Par' }]],
    ],
  },
  functiongemma: {
    template: "{% if tools %}'<start_function_call>call:'{% endif %}",
    weather: '<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>',
    add: '⟦<start_function_call>⟧call:add{a:1,b:-2.5}⟦<end_function_call>⟧',
    now: '<start_function_call>call:now{}<end_function_call>',
    all: '<start_function_call>call:get_weather{city:<escape>a "b"\n\\c é😀<escape>,days:3,metric:true,places:[<escape>x<escape>,<escape>y<escape>],any:{a:[null,1.5,<escape>z<escape>]}}<end_function_call>',
    rows: [
      ['<start_function_call>call:now{}', [now]],
      ['<start_function_call>call:then{}', [{ content: '<start_function_call>call:then{}' }]],
    ],
  },
  gemma4: {
    template: "{% if tools %}'<|tool_call>call:'{% endif %}",
    weather: '⟦<|tool_call>⟧call:get_weather{city:⟦<|"|>⟧Paris⟦<|"|>⟧}⟦<tool_call|>⟧',
    add: '<|tool_call>call:add{a:1,b:-2.5}<tool_call|>',
    now: '⟦<|tool_call>⟧call:now{}⟦<tool_call|>⟧',
    rows: [['<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>', [weather()]]],
  },
  gpt_oss: {
    template: "{% if tools %}'<|channel|>commentary'{% endif %}",
    weather:
      '⟦<|channel|>⟧commentary to=functions.get_weather ⟦<|constrain|>⟧json⟦<|message|>⟧{"city": "Paris"}⟦<|call|>⟧',
    add: ' to=functions.add⟦<|channel|>⟧commentary json⟦<|message|>⟧{"a": 1, "b": -2.5}',
    now: '⟦<|channel|>⟧analysis to=functions.now⟦<|message|>⟧ {}⟦<|call|>⟧',
    between: '⟦<|start|>⟧assistant',
    before: (text) => `⟦<|channel|>⟧commentary⟦<|message|>⟧${text}⟦<|end|>⟧⟦<|start|>⟧assistant`,
    reasoning: (text) => `⟦<|channel|>⟧analysis⟦<|message|>⟧${text}⟦<|end|>⟧⟦<|start|>⟧assistant`,
    rows: [
      ['⟦<|channel|>⟧final⟦<|message|>⟧Hello \n⟦<|return|>⟧', [{ content: 'Hello' }]],
      ['Hello', [{ content: 'Hello' }]],
      [
        '⟦<|channel|>⟧commentary to=assistant⟦<|channel|>⟧analysis⟦<|message|>⟧Hm.⟦<|end|>⟧⟦<|start|>⟧assistant⟦<|channel|>⟧final⟦<|message|>⟧Yes',
        [{ reasoning: 'Hm.' }, { content: 'Yes' }],
      ],
      ['⟦<|channel|>⟧analysis⟦<|message|>⟧Hm', [{ reasoning: 'Hm' }]],
      ['⟦<|channel|>⟧commentary to=functions.then⟦<|message|>⟧{"a": 1}⟦<|call|>⟧', [{ content: '{"a": 1}' }]],
      [
        '⟦<|channel|>⟧final⟦<|message|>⟧See <|channel|>analysis<|message|>',
        [{ content: 'See <|channel|>analysis<|message|>' }],
      ],
      ['⟦<|channel|>⟧commentary to=functions.now⟦<|message|>⟧now', [{ content: 'now' }]],
    ],
  },
  command_r7b: {
    template: "{% if tools %}'<|START_ACTION|>'{% endif %}'<|START_THINKING|>'",
    weather:
      '⟦<|START_ACTION|>⟧[\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}}\n]⟦<|END_ACTION|>⟧',
    add: '⟦<|START_ACTION|>⟧[{"tool_call_id": "1", "tool_name": "add", "parameters": {"a": 1, "b": -2.5}}]⟦<|END_ACTION|>⟧',
    now: '⟦<|START_ACTION|>⟧[{"tool_name": "now", "parameters": {}}]⟦<|END_ACTION|>⟧',
    reasoning: (text) => `⟦<|START_THINKING|>⟧${text}⟦<|END_THINKING|>⟧`,
    rows: [
      ['⟦<|START_RESPONSE|>⟧Hello⟦<|END_RESPONSE|>⟧', [{ content: 'Hello' }]],
      [
        '⟦<|START_THINKING|>⟧Hm.⟦<|START_ACTION|>⟧[{"tool_name": "now", "parameters": {}}]⟦<|END_ACTION|>⟧',
        [{ reasoning: 'Hm.' }, now],
      ],
    ],
  },
  command_r: {
    template: "{% if tools %}Write 'Action:' followed by a json-formatted list of actions{% endif %}",
    weather: 'Action: ```json\n[{"tool_name": "get_weather", "parameters": {"city": "Paris"}}]\n```',
    add: 'Action:\n```json\n[\n    {\n        "tool_name": "add",\n        "parameters": {"a": 1, "b": -2.5}\n    }\n]```',
    now: 'Action: ```json\n[{"tool_name": "now", "parameters": {}}]\n```',
    rows: [['Action: go.', [{ content: 'Action: go.' }]]],
  },
  deepseek: {
    template: "{% if tools %}'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>'{% endif %}",
    weather:
      '⟦<｜tool▁calls▁begin｜>⟧⟦<｜tool▁call▁begin｜>⟧function⟦<｜tool▁sep｜>⟧get_weather\n```json\n{"city": "Paris"}\n```⟦<｜tool▁call▁end｜>⟧⟦<｜tool▁calls▁end｜>⟧',
    add: '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1, "b": -2.5}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    now: '⟦<｜tool▁calls▁begin｜>⟧⟦<｜tool▁call▁begin｜>⟧now⟦<｜tool▁sep｜>⟧{}⟦<｜tool▁call▁end｜>⟧⟦<｜tool▁calls▁end｜>⟧',
    rows: [
      [
        '⟦<｜tool▁calls▁begin｜>⟧⟦<｜tool▁call▁begin｜>⟧now⟦<｜tool▁sep｜>⟧{}⟦<｜tool▁call▁end｜>⟧\n⟦<｜tool▁call▁begin｜>⟧function⟦<｜tool▁sep｜>⟧now\n```json\n{}```⟦<｜tool▁call▁end｜>⟧⟦<｜tool▁calls▁end｜>⟧',
        [now, now],
      ],
      ['⟦<｜tool▁calls▁begin｜>⟧⟦<｜tool▁call▁begin｜>⟧now⟦<｜tool▁sep｜>⟧{}', [now]],
      ['⟦<｜tool▁calls▁begin｜>⟧ and', [{ content: '<｜tool▁calls▁begin｜> and' }]],
    ],
  },
  kimi_k2: {
    template: "{% if tools %}'<|tool_calls_section_begin|>'{% endif %}",
    weather:
      '⟦<|tool_calls_section_begin|>⟧⟦<|tool_call_begin|>⟧functions.get_weather:0⟦<|tool_call_argument_begin|>⟧{"city": "Paris"}⟦<|tool_call_end|>⟧⟦<|tool_calls_section_end|>⟧',
    add: '⟦<|tool_calls_section_begin|>⟧⟦<|tool_call_begin|>⟧functions.add:1⟦<|tool_call_argument_begin|>⟧{"a": 1, "b": -2.5}⟦<|tool_call_end|>⟧⟦<|tool_calls_section_end|>⟧',
    now: '⟦<|tool_calls_section_begin|>⟧⟦<|tool_call_begin|>⟧functions.now:2⟦<|tool_call_argument_begin|>⟧{}⟦<|tool_call_end|>⟧⟦<|tool_calls_section_end|>⟧',
    rows: [
      // The model repeats an id: the second call has one of its own.
      [
        '⟦<|tool_call_begin|>⟧functions.now:0⟦<|tool_call_argument_begin|>⟧{}⟦<|tool_call_end|>⟧⟦<|tool_calls_section_end|>⟧⟦<|tool_call_begin|>⟧functions.now:0⟦<|tool_call_argument_begin|>⟧{}⟦<|tool_call_end|>⟧',
        [{ ...now, id: 'functions.now:0' }, now],
      ],
      [
        '⟦<|tool_calls_section_begin|>⟧⟦<|tool_call_begin|>⟧functions.now:0⟦<|tool_call_argument_begin|>⟧{}⟦<|tool_call_end|>⟧⟦<|tool_call_begin|>⟧functions.now:1⟦<|tool_call_argument_begin|>⟧{}⟦<|tool_call_end|>⟧⟦<|tool_calls_section_end|>⟧',
        [
          { ...now, id: 'functions.now:0' },
          { ...now, id: 'functions.now:1' },
        ],
      ],
    ],
  },
  granite: {
    template: "{% if tools %}'<|tool_call|>'{% endif %}",
    weather: '⟦<|tool_call|>⟧[{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    add: '⟦<|tool_call|>⟧[{"name": "add", "arguments": {"a": 1, "b": -2.5}}]⟦<|/tool_call|>⟧',
    now: '⟦<|tool_call|>⟧{"name": "now", "arguments": {}}',
  },
  nemotron: {
    template: '{% if tools %}<TOOLCALL>[]</TOOLCALL>{% endif %}',
    weather: '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</TOOLCALL>',
    add: '<TOOLCALL>[{"name": "add", "arguments": {"a": 1, "b": -2.5}}]</TOOLCALL>',
    now: '<TOOLCALL>[{"name": "now", "arguments": {}}]</TOOLCALL>',
  },
  jamba: {
    template: '{% if tools %}{% set prefix = "<tool_calls>" %}{% endif %}',
    weather: '<tool_calls>[\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n]</tool_calls>',
    add: '<tool_calls>[{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": -2.5}"}]</tool_calls>',
    now: '<tool_calls>[{"name": "now", "arguments": {}}]</tool_calls>',
  },
  apertus: {
    template: "{% if tools %}'<|tools_prefix|>'{% endif %}",
    weather: '⟦<|tools_prefix|>⟧[{"get_weather": {"city": "Paris"}}]⟦<|tools_suffix|>⟧',
    add: '⟦<|tools_prefix|>⟧[{"add": {"a": 1, "b": -2.5}}]⟦<|tools_suffix|>⟧',
    now: '⟦<|tools_prefix|>⟧[{"now": {}}]⟦<|tools_suffix|>⟧',
  },
  gigachat: {
    template: "{% if tools %}'<|function_call|>'{% endif %}",
    weather: '⟦<|function_call|>⟧{"name": "get_weather", "arguments": {"city": "Paris"}}',
    add: '⟦<|function_call|>⟧{"name": "add", "arguments": {"a": 1, "b": -2.5}}',
    now: '⟦<|function_call|>⟧{"name": "now", "arguments": {}}',
  },
  firefunction: {
    template: "{% if tools %}' functools['{% endif %}",
    weather: ' functools[{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    add: 'functools[{"name": "add", "arguments": {"a": 1, "b": -2.5}}]',
    now: 'functools[{"name": "now", "arguments": {}}]',
    rows: [['import functools\nfunctools.reduce', [{ content: 'import functools\nfunctools.reduce' }]]],
  },
  olmo3: {
    template: '{% if tools %}<function_calls>{% endif %}',
    weather: '<function_calls>get_weather(city="Paris")</function_calls>',
    add: '<function_calls>\nadd(a=1, b=-2.5)\n</function_calls>',
    now: '<function_calls>now()</function_calls>',
    rows: [['<function_calls>now()\nadd(a=1, b=-2.5)</function_calls>', [now, add]]],
  },
  internlm: {
    template: "{% if tools %}'<|action_start|><|plugin|>'{% endif %}",
    weather: '⟦<|plugin|>⟧\n{"name": "get_weather", "parameters": {"city": "Paris"}}⟦<|action_end|>⟧',
    add: '⟦<|plugin|>⟧{"name": "add", "parameters": {"a": 1, "b": -2.5}}⟦<|action_end|>⟧',
    now: '⟦<|plugin|>⟧{"name": "now", "parameters": {}}⟦<|action_end|>⟧',
    rows: [['So.⟦<|action_start|>⟧⟦<|plugin|>⟧{"name": "now"}⟦<|action_end|>⟧', [{ content: 'So.' }, now]]],
  },
  gemma: {
    template: '{% if tools %}```tool_code{% endif %}',
    weather: '```tool_code\nget_weather(city="Paris")\n```',
    add: '```tool_code\nprint(default_api.add(a=1, b=-2.5))\n```',
    now: '```tool_code\n[now()]\n```',
    rows: [
      ['```tool_code\nnow()\nnow()\n```', [now, now]],
      ['```tool_code\nx = 1\n```', [{ content: '```tool_code\nx = 1\n```' }]],
    ],
  },
};
