-- The rules that a DBA wrote for shop.sql: customers and staff are found by the user who is signed in.
grant usage on schema shop to anon, authenticated, service_role;

-- Templates where a user column is there, a policy by hand where it is called otherwise.
select auth.protect('shop.customers', 'owner', p_user_column => 'id', p_defaults => false);
select auth.protect('shop.addresses', 'owner', p_user_column => 'customer_id');
select auth.protect('shop.carts', 'owner', p_user_column => 'customer_id');
select auth.protect('shop.wishlists', 'owner', p_user_column => 'customer_id');
select auth.protect('shop.reviews', 'public_read', p_user_column => 'customer_id', p_published_column => 'published');
select auth.protect('shop.staff', 'owner');
revoke insert, update, delete on shop.staff from authenticated;
alter table shop.customers add foreign key (id) references auth.users (id) on delete cascade not valid;
alter table shop.staff add foreign key (user_id) references auth.users (id) on delete cascade not valid;

create function shop.my_merchants() returns setof integer language sql stable security definer set search_path = pg_catalog, pg_temp
as 'select s.merchant_id from shop.staff s where s.user_id = auth.current_user_id()';
revoke all on function shop.my_merchants() from public;
grant execute on function shop.my_merchants() to anon, authenticated;

do $$
declare
  v_table text;
begin
  -- What everybody may read, and only the shop's own jobs write.
  foreach v_table in array array['countries', 'currencies', 'categories', 'brands', 'tags', 'merchants'] loop
    perform auth.enable_rls(format('shop.%I', v_table)::regclass);
    execute format('grant select on shop.%I to anon, authenticated, service_role', v_table);
    execute format('create policy everybody_reads on shop.%I for select to anon, authenticated using (true)', v_table);
  end loop;
  -- What belongs to a merchant.
  foreach v_table in array array['products', 'coupons', 'orders'] loop
    perform auth.enable_rls(format('shop.%I', v_table)::regclass);
    execute format('grant select, insert, update, delete on shop.%I to authenticated, service_role', v_table);
    execute format('create policy staff on shop.%I to authenticated using (merchant_id = any (array(select shop.my_merchants())))', v_table);
  end loop;
  -- What belongs to a product.
  foreach v_table in array array['product_images', 'product_variants', 'product_tags', 'price_history'] loop
    perform auth.enable_rls(format('shop.%I', v_table)::regclass);
    execute format('grant select, insert, update, delete on shop.%I to authenticated, service_role', v_table);
    execute format('grant select on shop.%I to anon', v_table);
    execute format('create policy with_product on shop.%I for select to anon, authenticated using (exists (select from shop.products p where p.id = product_id))', v_table);
    execute format('create policy staff on shop.%I to authenticated using (exists (select from shop.products p where p.id = product_id and p.merchant_id = any (array(select shop.my_merchants()))))', v_table);
  end loop;
  -- What belongs to an order.
  foreach v_table in array array['order_items', 'payments', 'shipments', 'returns'] loop
    perform auth.enable_rls(format('shop.%I', v_table)::regclass);
    execute format('grant select on shop.%I to authenticated, service_role', v_table);
    execute format('create policy with_order on shop.%I for select to authenticated using (exists (select from shop.orders o where o.id = order_id))', v_table);
  end loop;
end $$;
grant select on shop.products to anon;
create policy visible on shop.products for select to anon, authenticated using (visible);
create policy customer_reads on shop.orders for select to authenticated using (customer_id = (select auth.current_user_id()));
create policy customer_places on shop.orders for insert to authenticated with check (customer_id = (select auth.current_user_id()) and status = 'placed');
select auth.enable_rls('shop.cart_items');
grant select, insert, update, delete on shop.cart_items to authenticated, service_role;
create policy with_cart on shop.cart_items to authenticated using (exists (select from shop.carts c where c.id = cart_id));
select auth.enable_rls('shop.job_queue');

alter view shop.catalogue set (security_invoker = true);
alter view shop.my_orders set (security_invoker = true);
grant select on shop.catalogue to anon, authenticated;
grant select on shop.my_orders to authenticated;
grant usage on all sequences in schema shop to authenticated, service_role;
revoke execute on all functions in schema shop from public;
grant execute on function shop.order_total(bigint), shop.place_order(uuid) to authenticated;
