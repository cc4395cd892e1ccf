import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as vm from "node:vm"
import * as CanonicalJson from "../../src/core/canonicalJson.js"
import { runs } from "../support/runs.js"

/** The text, or where and why there is none. */
const told = (value: unknown): string => {
  const canonical = CanonicalJson.stringify(value)
  return canonical._tag === "Text" ? canonical.text : `${canonical.path}: ${canonical.reason}`
}

const double = (bits: string): number => {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, BigInt(`0x${bits}`))
  return view.getFloat64(0)
}

describe("RFC 8785", () => {
  it.each([
    ["0000000000000000", "0"],
    ["8000000000000000", "0"],
    ["0000000000000001", "5e-324"],
    ["8000000000000001", "-5e-324"],
    ["7fefffffffffffff", "1.7976931348623157e+308"],
    ["ffefffffffffffff", "-1.7976931348623157e+308"],
    ["4340000000000000", "9007199254740992"],
    ["c340000000000000", "-9007199254740992"],
    ["4430000000000000", "295147905179352830000"],
    ["44b52d02c7e14af5", "9.999999999999997e+22"],
    ["44b52d02c7e14af6", "1e+23"],
    ["44b52d02c7e14af7", "1.0000000000000001e+23"],
    ["444b1ae4d6e2ef4e", "999999999999999700000"],
    ["444b1ae4d6e2ef4f", "999999999999999900000"],
    ["444b1ae4d6e2ef50", "1e+21"],
    ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
    ["3eb0c6f7a0b5ed8d", "0.000001"],
    ["41b3de4355555553", "333333333.3333332"],
    ["41b3de4355555554", "333333333.33333325"],
    ["41b3de4355555555", "333333333.3333333"],
    ["41b3de4355555556", "333333333.3333334"],
    ["41b3de4355555557", "333333333.33333343"],
    ["becbf647612f3696", "-0.0000033333333333333333"],
    ["43143ff3c1cb0959", "1424953923781206.2"]
  ])("I16: the number %s of appendix B is %s", (bits, text) => {
    expect(told(double(bits))).toBe(text)
  })

  it.each(["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])(
    "I16: the number %s of appendix B is refused",
    (bits) => {
      expect(CanonicalJson.stringify(double(bits))._tag).toBe("Refused")
    }
  )

  it("I16: the sample of section 3.2.2", () => {
    const sample: unknown = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`)
    expect(told(sample)).toBe(
      "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27]," +
        "\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
    )
  })

  it("I16: the keys of section 3.2.3 are sorted by UTF-16 code unit", () => {
    const sample = {
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    }
    expect(Object.values(JSON.parse(told(sample)))).toEqual([
      // JavaScript itself puts the key that looks like an integer first.
      "One",
      "Carriage Return",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh"
    ])
    expect(told(sample).startsWith("{\"\\r\":\"Carriage Return\",\"1\":\"One\",")).toBe(true)
  })
})

describe("keys", () => {
  it("I16: keys that look like integers go by code unit as well", () => {
    expect(told({ 10: "ten", 9: "nine", 1: "one", "-1": "minus", "01": "zero one", "": "empty" }))
      .toBe(
        "{\"\":\"empty\",\"-1\":\"minus\",\"01\":\"zero one\",\"1\":\"one\",\"10\":\"ten\",\"9\":\"nine\"}"
      )
  })

  it("I16: a key called __proto__ is a key", () => {
    expect(told(JSON.parse("{\"b\":1,\"__proto__\":{\"a\":1}}"))).toBe(
      "{\"__proto__\":{\"a\":1},\"b\":1}"
    )
  })

  it("I16: keys that are symbols, inherited or hidden are not seen", () => {
    const object: object = Object.create({ inherited: 1 }, {
      hidden: { value: 1, enumerable: false },
      shown: { value: 1, enumerable: true },
      [Symbol("s")]: { value: 1, enumerable: true }
    })
    expect(told(object)).toBe("{\"shown\":1}")
  })
})

describe("as JSON.stringify does", () => {
  it("I16: a property that is undefined is dropped, an element is null", () => {
    const sparse = [1]
    sparse.length = 3
    expect([told({ a: undefined, b: 1 }), told([undefined, 1]), told(sparse)]).toEqual([
      "{\"b\":1}",
      "[null,1]",
      "[1,null,null]"
    ])
  })

  it("I16: undefined itself is the empty text", () => {
    expect(told(undefined)).toBe("")
  })

  it("I16: toJSON is honoured, is given the key, and what it answers is written in order", () => {
    expect([
      told({ at: new Date(0) }),
      told({ here: { toJSON: (key: string) => ({ z: 1, a: key }) } }),
      told([{ toJSON: (key: string) => key }]),
      told({ gone: { toJSON: () => undefined } })
    ]).toEqual([
      "{\"at\":\"1970-01-01T00:00:00.000Z\"}",
      "{\"here\":{\"a\":\"here\",\"z\":1}}",
      "[\"0\"]",
      "{}"
    ])
  })

  it("I16: boxed values are unboxed", () => {
    expect(told([Object(1), Object("a"), Object(true)])).toBe("[1,\"a\",true]")
  })

  it("I16: -0 is 0, at any depth", () => {
    expect(told({ a: [-0, { b: -0 }] })).toBe("{\"a\":[0,{\"b\":0}]}")
  })

  it("I16: what is held twice without a cycle is written twice", () => {
    const shared = { a: 1 }
    expect(told({ x: shared, y: [shared, shared] })).toBe(
      "{\"x\":{\"a\":1},\"y\":[{\"a\":1},{\"a\":1}]}"
    )
  })
})

describe("refused", () => {
  const cycle: Record<string, unknown> = {}
  cycle["in"] = [cycle]
  const nested = (levels: number): unknown => {
    let value: unknown = 1
    for (let level = 0; level < levels; level++) value = [value]
    return value
  }

  it.each<readonly [string, unknown, string]>([
    ["NaN", { a: [0, NaN] }, "$.a[1]: NaN, which JSON does not have"],
    [
      "Infinity",
      { "unit price": Infinity },
      "$[\"unit price\"]: Infinity, which JSON does not have"
    ],
    ["-Infinity", -Infinity, "$: -Infinity, which JSON does not have"],
    ["a bigint", { a: 1n }, "$.a: a bigint, which JSON does not have"],
    ["a boxed bigint", { a: Object(1n) }, "$.a: a bigint, which JSON does not have"],
    ["a function", { a: () => 1 }, "$.a: a function, which JSON does not have"],
    ["a symbol", [Symbol("s")], "$[0]: a symbol, which JSON does not have"],
    ["a cycle", { a: cycle }, "$.a.in[0]: an object that holds itself"],
    [
      "half a surrogate pair in a text",
      { a: "\ud83d" },
      "$.a: a text with half of a surrogate pair"
    ],
    [
      "half a surrogate pair in a key",
      { "\ude00": 1 },
      "$[\"\\ude00\"]: a text with half of a surrogate pair"
    ],
    ["a map", { a: new Map([[1, 2]]) }, "$.a: an object that shows JSON nothing of what it holds"],
    ["a set", new Set([1]), "$: an object that shows JSON nothing of what it holds"],
    ["a form", new URLSearchParams("a=1"), "$: an object that shows JSON nothing of what it holds"]
  ])("I16: %s", (_, value, message) => {
    expect(told(value)).toBe(message)
  })

  it("I16: a value that throws when it is read, with its path", () => {
    const broken = {
      a: [{
        get b(): number {
          throw new Error("no")
        }
      }]
    }
    expect([told(broken), told({ c: { toJSON: () => JSON.parse("{") } })]).toEqual([
      "$.a[0].b: a value that throws when it is read",
      "$.c: a value that throws when it is read"
    ])
  })

  it("I16: a thousand levels are written, one more is refused, and a million do not overflow the stack", () => {
    expect(told(nested(1000))).toBe(`${"[".repeat(1000)}1${"]".repeat(1000)}`)
    expect([told(nested(1001)), told(nested(1_000_000))]).toEqual([
      "$[0][0][0]: a value of more than 1000 levels",
      "$[0][0][0]: a value of more than 1000 levels"
    ])
  })

  it("I16: a toJSON that answers ever new objects comes to an end", () => {
    const endless = (): object => ({ toJSON: () => ({ next: endless() }) })
    expect(told(endless())).toBe("$.next.next.next: a value of more than 1000 levels")
  })

  it("I16: a cycle at any depth, with the path of where it closes", () => {
    for (const levels of [1, 15, 16, 17, 900]) {
      const top: { in?: unknown } = {}
      let bottom = top
      for (let level = 1; level < levels; level++) {
        const next = {}
        bottom.in = next
        bottom = next
      }
      bottom.in = [bottom]
      expect(told(top)).toBe(`$${".in".repeat(levels)}[0]: an object that holds itself`)
    }
  })

  it("I17: a container of the platform is refused with properties of its own too", () => {
    class Cart extends Map<string, number> {
      readonly kind = "cart"
    }
    expect([told(new Cart()), told(Object.assign(new Set(), { a: 1 }))]).toEqual([
      "$: an object that shows JSON nothing of what it holds",
      "$: an object that shows JSON nothing of what it holds"
    ])
    class Named {
      readonly name = "n"
    }
    expect(told(new Named())).toBe("{\"name\":\"n\"}")
  })

  it("I17: what is revealed is written, and a text of a toJSON with the mask is refused", () => {
    const secret = { toJSON: () => "***" }
    const reading = {
      reveal: (value: object) => value === secret ? { card: 1 } : value,
      mask: "***"
    }
    const told = (value: unknown) => CanonicalJson.stringify(value, reading)
    expect([
      told({ a: [secret], b: "***" }),
      told({ a: { toJSON: () => ({ b: ["x *** y"] }) }, z: 1 }),
      told({ a: { toJSON: () => ({ b: secret }) } })
    ]).toEqual([
      { _tag: "Text", text: "{\"a\":[{\"card\":1}],\"b\":\"***\"}" },
      { _tag: "Refused", path: "$.a.b[0]", reason: "an object whose toJSON hides what it holds" },
      { _tag: "Text", text: "{\"a\":{\"b\":{\"card\":1}}}" }
    ])
  })

  it("an object without properties and no bytes are none of these", () => {
    expect([{}, Object.create(null), new Uint8Array(0)].map(told)).toEqual(["{}", "{}", "{}"])
  })

  it("I17: an instance of a class that shows no properties is refused", () => {
    class Empty {}
    expect(told([new Empty()])).toBe("$[0]: an object that shows JSON nothing of what it holds")
  })
})

describe("properties", () => {
  const well = fc.fullUnicodeString()
  const json = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "medium" },
      fc.oneof(
        fc.constantFrom(null, true, false, -0, 1e21, 1e-7),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        well
      ),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(well, fc.nat({ max: 20 }).map(String)), tie("value"), { maxKeys: 5 })
    )
  })).value

  /** The same value with the keys of its objects in another order. */
  const turned = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turned)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value).toReversed().map(([key, inner]) => [key, turned(inner)])
    )
  }

  /** A slow writer: it looks for the least key that is left, code unit by code unit. */
  const slow = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(slow).join(",")}]`
    if (typeof value !== "object" || value === null) return JSON.stringify(value)
    const left = new Map(Object.entries(value))
    const written: Array<string> = []
    while (left.size > 0) {
      const least = [...left.keys()].reduce((a, b) => isBefore(b, a) ? b : a)
      written.push(`${JSON.stringify(least)}:${slow(left.get(least))}`)
      left.delete(least)
    }
    return `{${written.join(",")}}`
  }
  const isBefore = (a: string, b: string): boolean => {
    for (let at = 0; at < Math.min(a.length, b.length); at++) {
      if (a.charCodeAt(at) !== b.charCodeAt(at)) return a.charCodeAt(at) < b.charCodeAt(at)
    }
    return a.length < b.length
  }

  it("I16: it agrees with a slow writer", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(told(value)).toBe(slow(value))
      }),
      { numRuns: runs(1000) }
    )
  })

  it("I16: the order of keys makes no difference, and reading and writing again makes none either", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(told(turned(value))).toBe(told(value))
        expect(told(JSON.parse(told(value)))).toBe(told(value))
      }),
      { numRuns: runs(1000) }
    )
  })

  it("I16: whatever it is given, it answers and does not throw", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withBoxedValues: true,
          withDate: true,
          withMap: true,
          withNullPrototype: true,
          withSet: true,
          withSparseArray: true,
          withTypedArray: true
        }),
        (value) => {
          const canonical = CanonicalJson.stringify(value)
          if (canonical._tag === "Text" && value !== undefined) {
            expect(JSON.parse(canonical.text)).toEqual(JSON.parse(JSON.stringify(value)))
          }
        }
      ),
      { numRuns: runs(1000) }
    )
  })
})

describe("what is like a value of JSON, and is none or another", () => {
  const refused = "$: an object that shows JSON nothing of what it holds"

  it("I16: a toJSON that is no function is a property like others", () => {
    expect([
      told({ toJSON: 1 }),
      told({ toJSON: () => null }),
      told({ a: { toJSON: () => "undefined" } })
    ])
      .toEqual(["{\"toJSON\":1}", "null", "{\"a\":\"undefined\"}"])
  })

  it("I16: toJSON is told the key, at the top the empty one", () => {
    const keyed = { toJSON: (key: string) => key }
    expect([told(keyed), told({ a: keyed }), told([keyed])]).toEqual([
      "\"\"",
      "{\"a\":\"a\"}",
      "[\"0\"]"
    ])
  })

  it("I16: a valueOf of one's own is not asked", () => {
    class Money {
      readonly cents = 5
      valueOf() {
        return 7
      }
    }
    expect(told(new Money())).toBe("{\"cents\":5}")
  })

  it("I16: an empty record of another realm is a record, and what has no keys but a tag is none", () => {
    expect([
      told(vm.runInNewContext("({})")),
      told(Math),
      told(new DataView(new ArrayBuffer(2))),
      told(new Uint8Array())
    ])
      .toEqual(["{}", refused, refused, "{}"])
  })

  it.each([
    new ArrayBuffer(1),
    new Blob(["a"]),
    new DataView(new ArrayBuffer(1)),
    new File(["a"], "a"),
    new FormData(),
    new Headers(),
    new Map(),
    Promise.resolve(),
    new Set(),
    new SharedArrayBuffer(1),
    new URLSearchParams("a=1"),
    new WeakMap(),
    new WeakSet()
  ])("I16: %o keeps its contents to itself, also with a property", (object) => {
    expect(told(Object.assign(object, { a: 1 }))).toBe(refused)
  })

  it("I16: a property that is undefined is left out before its name is looked at", () => {
    expect(told({ "\ud800": undefined, a: 1 })).toBe("{\"a\":1}")
  })

  it("I16: a getter that throws is a refusal with its place", () => {
    const value = {
      get a(): never {
        throw new Error("no")
      }
    }
    expect(CanonicalJson.stringify(value)).toEqual({
      _tag: "Refused",
      path: "$.a",
      reason: "a value that throws when it is read"
    })
  })

  it("I16: many pieces are one text", () => {
    const numbers = Array.from({ length: 10_000 }, (_, n) => n)
    expect(told(numbers)).toBe(JSON.stringify(numbers))
  })

  it.each([10, 14, 15, 16, 17, 20])(
    "I16: an object twice, %i levels deep, is no cycle",
    (levels) => {
      const shared = {}
      let value: unknown = [shared, shared]
      for (let level = 0; level < levels; level++) value = [value]
      expect(told(value)).toBe(JSON.stringify(value))
    }
  )
})

describe("values that are hidden on purpose", () => {
  const reveal = (value: object): unknown => {
    if (typeof value !== "object" || value === null) throw new Error("not an object")
    return "hidden" in value ? value.hidden : value
  }
  const shown = (value: unknown) => CanonicalJson.stringify(value, { reveal, mask: "<hidden>" })

  it("I17: are opened, and only objects are asked", () => {
    expect(shown([1, "a", null, { hidden: "b" }, { hidden: null }, { hidden: { c: 1 } }]))
      .toEqual({ _tag: "Text", text: "[1,\"a\",null,\"b\",null,{\"c\":1}]" })
  })

  it("I17: a toJSON that shows the mask is refused, a text that is the mask is not", () => {
    expect([
      shown([{ toJSON: () => 1 }, "<hidden>"]),
      shown({ toJSON: () => ["a <hidden> b"] })
    ]).toEqual([
      { _tag: "Text", text: "[1,\"<hidden>\"]" },
      { _tag: "Refused", path: "$[0]", reason: "an object whose toJSON hides what it holds" }
    ])
  })
})
