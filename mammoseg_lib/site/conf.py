"""Settings of Sphinx. Read by Sphinx alone, in the folder of sources that `build_site` makes."""

project = "mammoseg"
copyright = "the authors of mammoseg; text and figures CC BY 4.0, code MIT"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx_design"]
root_doc = "index"
suppress_warnings = [
    "myst.header",  # a notebook may begin a part at any level
    "misc.highlighting_failure",  # a block of a README may be of a kind that Pygments does not color
]

# Notebooks are shown with the outputs that they were committed with.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_ipywidgets_js = {}  # would be fetched from a network
nb_code_prompt_show = "Show code"
nb_code_prompt_hide = "Hide code"
myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "dollarmath"]
myst_heading_anchors = 4

# Everything a page needs lies beside it: no request leaves file://.
mathjax_path = "mathjax.js"
mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}
html_theme = "pydata_sphinx_theme"
html_title = "mammoseg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # would fetch each page found, which a browser refuses on file://
html_show_sphinx = False
html_use_index = False
html_sidebars = {"figures/**": [], "gallery": []}
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "logo": {"text": "mammoseg"},
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "footer_start": ["copyright"],
    "footer_center": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
