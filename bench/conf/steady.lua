-- Each answer comes 50 ms after its request. HAProxy's clock has ticks of a millisecond.
core.register_service("steady", "http", function(applet)
    core.msleep(50)
    applet:set_status(200)
    applet:add_header("content-type", "application/json")
    applet:add_header("content-length", "3")
    applet:start_response()
    applet:send("{}\n")
end)
