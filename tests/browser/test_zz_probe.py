from tests.browser.conftest import *
JS="""() => [...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 391).slice(0,14).map(e => e.tagName+'.'+e.className+' '+Math.round(e.getBoundingClientRect().right))"""
@pytest.mark.parametrize("name", ["payment","purchases"])
def test_x(open_window, shop, name):
    v=shop.window(open_window, name, viewport={"width":390,"height":844})
    print(name, v.page.evaluate(JS)); v.page.screenshot(path=f"/tmp/probe-{name}.png")
