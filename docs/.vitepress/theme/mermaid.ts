/**
 * A diagram: its source until the page runs, then the picture, in the colours of the page.
 */
import { useData } from "vitepress"
import { defineComponent, h, onMounted, shallowRef, useId, watch } from "vue"

/** A diagram is drawn no smaller than this share of its size, and scrolls where that is too wide. */
const smallest = 0.7

const leastWidth = (svg: string): string => {
  const width = /viewBox="[-\d.]+ [-\d.]+ ([\d.]+)/.exec(svg)?.[1] ?? "0"
  return `${Math.round(Number(width) * smallest)}px`
}

export const Mermaid = defineComponent({
  props: { code: { type: String, required: true } },
  setup: ({ code }) => {
    const source = decodeURIComponent(code)
    const picture = shallowRef("")
    const { isDark } = useData()
    const id = `diagram-${useId()}`
    let drawing = 0

    const draw = async (): Promise<void> => {
      const mine = ++drawing
      const { default: mermaid } = await import("mermaid")
      if (mine !== drawing) return
      mermaid.initialize({
        startOnLoad: false,
        securityLevel: "strict",
        suppressErrorRendering: true,
        theme: isDark.value ? "dark" : "neutral",
        fontFamily: "inherit"
      })
      try {
        const { svg } = await mermaid.render(`${id}-${mine}`, source)
        if (mine === drawing) picture.value = svg
      } catch (error) {
        // The source stays where the picture would be.
        console.error(`This diagram cannot be drawn: ${String(error)}`)
      }
    }

    onMounted(() => {
      void draw()
      watch(isDark, () => void draw())
    })

    return () =>
      picture.value === ""
        ? h("pre", { class: "diagram-source" }, source)
        : h("div", {
          class: "diagram",
          role: "img",
          style: { "--least-width": leastWidth(picture.value) },
          innerHTML: picture.value
        })
  }
})
