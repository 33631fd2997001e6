// Before uPlot, which asks once: charts are drawn twice as fine as a plain screen shows, so that they are sharp on paper too.
{
    const { get } = Object.getOwnPropertyDescriptor(window, 'devicePixelRatio') ?? {};
    if (get) {
        Object.defineProperty(window, 'devicePixelRatio', { configurable: true, get: () => Math.max(2, get.call(window)) });
    }
}
